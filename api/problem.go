package api

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
	"stile/wire"
)

// Refusals of the edge.
var (
	errNoRoute  = errors.New("no route")
	errNoMethod = errors.New("no method")
)

// The bodies that clients know byte for byte.
const (
	unauthenticatedBody = `{"message":"Unauthenticated."}`
	serverErrorBody     = `{"message":"Server Error"}`
)

// faults is invalid input: what is wrong with each field, in the order of the documentation.
type faults []wire.FieldError

// isFaults reports invalid input.
func isFaults(err error) bool {
	_, ok := errors.AsType[faults](err)
	return ok
}

func (faults) Error() string { return string(vpn.CodeValidationFailed) }

// retryWrites is when a client may try again what the database could not take.
const retryWrites = 30 * time.Second

// refuse answers with an error: the one place where errors become statuses and bodies.
func (x *exchange) refuse(err error) {
	if x.isGone(err) {
		x.status = statusClosed
		return
	}
	h := x.w.Header()
	h["Content-Type"] = jsonType
	var invalid faults
	refusal, isRefusal := errors.AsType[*vpn.Error](err)
	switch {
	case errors.Is(err, errNoRoute):
		x.sendProblem(vpn.CodeNotFound, &wire.Problem{Message: "The route " + x.pathName() + " could not be found."})
	case errors.Is(err, errNoMethod):
		h.Set("Allow", x.resource.allow)
		x.sendProblem(codeMethodNotAllowed, &wire.Problem{Message: "The " + x.r.Method + " method is not supported for route " +
			x.pathName() + ". Supported methods: " + x.resource.allow + "."})
	case errors.As(err, &invalid):
		x.sendInvalid(invalid)
	case isRefusal && statuses[refusal.Code] != 0:
		x.sendRefusal(refusal)
	case errors.Is(err, vpn.ErrUnavailable):
		x.err = err
		x.sendRefusal(&vpn.Error{Code: vpn.CodeTemporarilyOverloaded, RetryAfter: retryWrites})
	default:
		x.err = err
		x.mark(codeServerError)
		x.send(http.StatusInternalServerError, []byte(serverErrorBody))
	}
}

// mark notes the code for the event and puts it into its header.
func (x *exchange) mark(code vpn.Code) {
	x.code = code
	x.w.Header()[wire.ErrorCodeHeader] = []string{string(code)}
}

// pathName is the path of the request as messages name it.
func (x *exchange) pathName() string { return strings.Trim(x.r.URL.EscapedPath(), "/") }

func (x *exchange) sendProblem(code vpn.Code, p *wire.Problem) {
	x.mark(code)
	if err := x.sendJSON(statuses[code], p); err != nil {
		x.err = err
		x.send(http.StatusInternalServerError, []byte(serverErrorBody))
	}
}

// sendInvalid answers invalid input: the first message, how many more there are, and all of them by field.
func (x *exchange) sendInvalid(invalid faults) {
	more := -1
	for _, f := range invalid {
		more += len(f.Messages)
	}
	message := invalid[0].Messages[0]
	if more > 0 {
		message += " " + x.api.texts.Count(x.language(), "validation.more", more)
	}
	x.sendProblem(vpn.CodeValidationFailed, &wire.Problem{Message: message, Errors: wire.FieldErrors(invalid)})
}

// sendRefusal answers a refusal of the domain.
func (x *exchange) sendRefusal(e *vpn.Error) {
	switch e.Code {
	case vpn.CodeUnauthenticated:
		x.mark(e.Code)
		x.send(http.StatusUnauthorized, []byte(unauthenticatedBody))
	case vpn.CodeInvalidCredentials:
		x.sendProblem(e.Code, &wire.Problem{Error: x.message(e)})
	case vpn.CodeValidationFailed:
		x.sendInvalid(faults{{Field: e.Field, Messages: []string{x.fault(e.Field, e.Rule, e.Max)}}})
	default:
		x.setRetry(e)
		x.sendProblem(e.Code, &wire.Problem{Message: x.message(e), Code: string(e.Code), Details: x.details(e)})
	}
}

// setRetry says in headers when to try again.
func (x *exchange) setRetry(e *vpn.Error) {
	h := x.w.Header()
	if e.RetryAfter > 0 {
		h["Retry-After"] = []string{strconv.Itoa(seconds(e.RetryAfter))}
	}
	if e.Code == vpn.CodeTooManyAttempts {
		h["X-Ratelimit-Limit"] = []string{strconv.Itoa(e.Attempts)}
		h["X-Ratelimit-Remaining"] = []string{"0"}
	}
}

// message says a refusal to a person.
func (x *exchange) message(e *vpn.Error) string {
	return x.api.texts.In(x.language(), "error."+string(e.Code), "seconds", strconv.Itoa(seconds(e.RetryAfter)),
		"limit", strconv.Itoa(e.Limit), "max", strconv.Itoa(e.Max))
}

// fault says to a person what is wrong with a field, and what it may hold, where there are words for that.
func (x *exchange) fault(field, rule string, limit int) string {
	key := "validation." + rule
	if own := key + "." + field; x.api.texts.Has(x.language(), own) {
		key = own
	}
	return x.api.texts.In(x.language(), key, "attribute", strings.ReplaceAll(field, "_", " "), "max", strconv.Itoa(limit))
}

// details are what helps to act on a refusal, nil when there is nothing.
func (x *exchange) details(e *vpn.Error) *wire.ProblemDetails {
	d := &wire.ProblemDetails{RetryAfter: seconds(e.RetryAfter)}
	switch e.Code {
	case vpn.CodeTooManyAttempts, vpn.CodeTemporarilyOverloaded, vpn.CodeKeyInUse:
	case vpn.CodeDeviceLimitReached:
		d.Limit, d.Devices = e.Limit, devicesOf(e.Devices, 0)
	case vpn.CodeSubscriptionRequired, vpn.CodeSubscriptionExpired:
		d.RenewURL = x.api.service.Settings(x.r.Context()).Links.Renew
	case vpn.CodeTrafficQuotaExceeded:
		d.ResetsAt = wire.SecondsOrNull(e.ResetsAt)
	case vpn.CodeMailFailed:
		d.Reason = e.Reason
	case vpn.CodeProtocolUnavailable:
		d.Available = protocolNames(e.Available)
	case vpn.CodeInsufficientScope:
		d.Scope = e.Scope.String()
	case vpn.CodeServerOffline, vpn.CodeServerFull, vpn.CodeServerMaintenance:
		d.Alternatives = append([]int64{}, e.Alternatives...)
	default:
		return nil
	}
	return d
}

// seconds rounds a wait up.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
