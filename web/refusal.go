package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"stile/vpn"
)

// pageError is a refusal of the room's own.
type pageError struct {
	status int
	key    string // of its messages: error.KEY.title, error.KEY.text
}

func (e *pageError) Error() string { return e.key }

var (
	errNoPage      = &pageError{http.StatusNotFound, "not_found"}
	errNoMethod    = &pageError{http.StatusMethodNotAllowed, "method"}
	errTooLarge    = &pageError{http.StatusRequestEntityTooLarge, "too_large"}
	errCrossOrigin = &pageError{http.StatusForbidden, "cross_origin"}
	errServer      = &pageError{http.StatusInternalServerError, "server"}
	errFull        = &pageError{http.StatusServiceUnavailable, "unavailable"}
	errSetup       = &pageError{http.StatusNotFound, "setup"}
	errClosed      = &pageError{http.StatusNotFound, "closed"}
	errInvitation  = &pageError{http.StatusNotFound, "invitation"}
	errSignUp      = &pageError{http.StatusNotFound, "sign_up"}
	errReset       = &pageError{http.StatusNotFound, "reset"}
)

// statusClosed is what the event of a request says whose client went away; nobody reads it as an answer.
const statusClosed = 499

// statusOf is the status of a refusal of the domain.
func statusOf(code vpn.Code) int {
	switch code {
	case vpn.CodeTooManyAttempts:
		return http.StatusTooManyRequests
	case vpn.CodeNotFound, vpn.CodeDeviceNotFound, vpn.CodeServerNotFound:
		return http.StatusNotFound
	case vpn.CodeForbidden, vpn.CodeAccountBlocked, vpn.CodePlanUpgradeRequired:
		return http.StatusForbidden
	case vpn.CodeInvalidCredentials, vpn.CodeUnauthenticated, vpn.CodeOTPRequired, vpn.CodeOTPInvalid, vpn.CodePasskeyInvalid:
		return http.StatusUnauthorized
	case vpn.CodeConflict, vpn.CodeDeviceLimitReached, vpn.CodeNotConfigured, vpn.CodeLastOwner, vpn.CodeRolloutState, vpn.CodeKeyInUse:
		return http.StatusConflict
	case vpn.CodeSubscriptionRequired, vpn.CodeSubscriptionExpired, vpn.CodeTrafficQuotaExceeded:
		return http.StatusPaymentRequired
	case vpn.CodeServerOffline, vpn.CodeServerFull, vpn.CodeServerMaintenance, vpn.CodeTemporarilyOverloaded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnprocessableEntity
	}
}

// refusalPage is what the page of a refusal shows.
type refusalPage struct {
	Status      int
	Title, Text string
	RequestID   string // "" unless the fault is ours
	// ToSignIn: who has an account comes in elsewhere.
	ToSignIn bool
}

// refuse answers with the page of an error.
func (v *visit) refuse(err error) {
	if v.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		v.status = statusClosed
		return
	}
	page, isOurs := errors.AsType[*pageError](err)
	refusal, isDomains := errors.AsType[*vpn.Error](err)
	switch {
	case isOurs:
		v.code = vpn.Code(page.key)
	case isDomains && refusal.Code == vpn.CodeUnauthenticated:
		v.toSignIn()
		return
	case isDomains:
		v.code = refusal.Code
		v.retryAfter(refusal.RetryAfter)
		text := v.explain(refusal)
		v.sendRefusal(refusalPage{Status: statusOf(refusal.Code), Title: v.t("error.title"), Text: text})
		return
	case errors.Is(err, vpn.ErrUnavailable):
		v.err, page = err, errFull
	default:
		v.err, page = err, errServer
	}
	shown := refusalPage{Status: page.status, Title: v.t("error." + page.key + ".title"), Text: v.t("error." + page.key + ".text")}
	shown.ToSignIn = page == errClosed && v.actor == nil
	if v.err != nil {
		shown.RequestID = v.id
	}
	v.sendRefusal(shown)
}

func (v *visit) sendRefusal(p refusalPage) {
	if err := v.page(p.Status, "error", p); err != nil {
		v.err = errors.Join(v.err, err)
		v.status = http.StatusInternalServerError
		http.Error(v.w, http.StatusText(v.status), v.status)
	}
}

// retryAfter tells when a new try can succeed.
func (v *visit) retryAfter(d time.Duration) {
	if d > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(seconds(d)))
	}
}

// seconds rounds up.
func seconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// explain is a refusal in the words of the visitor's language.
func (v *visit) explain(e *vpn.Error) string {
	switch e.Code {
	case vpn.CodeValidationFailed:
		return v.invalid(e)
	case vpn.CodeMailFailed:
		return v.t("refusal."+string(e.Code), "reason", e.Reason)
	case vpn.CodeConflict:
		return v.t("taken."+e.Field, "max", strconv.Itoa(e.Max))
	case vpn.CodeTooManyAttempts, vpn.CodeTemporarilyOverloaded:
		return v.n("js.retry."+string(e.Code), seconds(e.RetryAfter)) // the script counts it down
	case vpn.CodeDeviceLimitReached:
		return v.n("refusal.device_limit_reached", e.Limit)
	default:
		return v.t("refusal." + string(e.Code))
	}
}

// invalid says what is wrong with a field: its name, where forms have many, and what it may hold, where that is known.
func (v *visit) invalid(e *vpn.Error) string {
	text := v.t("invalid."+e.Rule, "max", strconv.Itoa(e.Max))
	if key := "invalid." + e.Rule + "." + e.Field; v.site.texts.Has(v.lang, key) {
		text = v.t(key)
	}
	if key := "named." + e.Field; v.site.texts.Has(v.lang, key) {
		return v.t(key) + ": " + text
	}
	return text
}

// retry shows a form again with what was wrong, or returns an error that no form is to blame for.
func (v *visit) retry(err error, show func(status int, p problem) error) error {
	refusal, ok := errors.AsType[*vpn.Error](err)
	if !ok || refusal.Code == vpn.CodeUnauthenticated {
		return err
	}
	v.code = refusal.Code
	v.retryAfter(refusal.RetryAfter)
	return show(statusOf(refusal.Code), problem{Code: refusal.Code, Field: refusal.Field, Text: v.explain(refusal), Seconds: seconds(refusal.RetryAfter)})
}

// problem is what is wrong with a form.
type problem struct {
	Code    vpn.Code
	Field   string // "" = the form as a whole
	Text    string
	Seconds int // until a new try can succeed; 0 = at once
}
