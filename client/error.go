package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/wire"
)

// Code names a refusal of the API. Codes are stable and more may come; these are the ones that a client acts on.
type Code string

// The codes that ask something of the person or the program.
const (
	CodeUnauthenticated      Code = "unauthenticated"
	CodeInvalidCredentials   Code = "invalid_credentials"
	CodeOTPRequired          Code = "otp_required"
	CodeOTPInvalid           Code = "otp_invalid"
	CodeValidationFailed     Code = "validation_failed"
	CodeTooManyAttempts      Code = "too_many_attempts"
	CodeDeviceLimitReached   Code = "device_limit_reached"
	CodeDeviceNotFound       Code = "device_not_found"
	CodeAccountBlocked       Code = "account_blocked"
	CodeSubscriptionRequired Code = "subscription_required"
	CodeSubscriptionExpired  Code = "subscription_expired"
	CodeTrafficQuotaExceeded Code = "traffic_quota_exceeded"
	CodePlanUpgradeRequired  Code = "plan_upgrade_required"
	CodeServerNotFound       Code = "server_not_found"
	CodeProtocolUnavailable  Code = "protocol_unavailable"
	CodeServerOffline        Code = "server_offline"
	CodeServerFull           Code = "server_full"
	CodeServerMaintenance    Code = "server_maintenance"
	CodeNotFound             Code = "not_found"
)

// Error is a refusal: an answer of the API, or of something in its place, other than success.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the API's. It is empty when the answer does not look like the API's: a proxy's page, a captive portal.
	Code Code
	// Message is for people, in the language asked for.
	Message string
	// Details help to act on the refusal; the zero value when there are none.
	Details wire.ProblemDetails
	// Errors say what is wrong with which field, with CodeValidationFailed.
	Errors wire.FieldErrors
	// RetryAfter is when a new try can succeed, 0 when the server does not say.
	RetryAfter time.Duration
	// Location is where the answer sends on to, when it does; the client never follows.
	Location string
	// RequestID is what the operator finds the request by; may be empty.
	RequestID string
}

// Error returns the message with the code, or what is known of an answer that is not the API's.
func (e *Error) Error() string {
	switch {
	case e.Code == "" && e.Location != "":
		return fmt.Sprintf("the address sends on to %s: use that one", e.Location)
	case e.Code == "" && e.Status >= http.StatusBadGateway && e.Status <= http.StatusGatewayTimeout:
		return fmt.Sprintf("the address answers %d %s: the service behind it is away, or starts just now; try again in a minute", e.Status, http.StatusText(e.Status))
	case e.Code == "":
		return fmt.Sprintf("the address answers %d %s, and not as the API does", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s (%s)", e.Message, e.Code)
}

// CodeOf returns the code of a refusal anywhere in err's chain, "" when there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// Refused reports whether err is a refusal by the API that asking again will not change: signed out, expired, blocked
// and their like, but neither an overload nor a trouble of the network.
func Refused(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Code == "" {
		return false
	}
	switch e.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500
}

// refusal reads an answer that is not a success. Its body, already bounded, may be anything.
func refusal(response *http.Response, body []byte) *Error {
	e := &Error{
		Status:     response.StatusCode,
		RetryAfter: retryAfter(response.Header.Get("Retry-After")),
		Location:   response.Header.Get("Location"),
		RequestID:  response.Header.Get("X-Request-Id"),
	}
	var problem wire.Problem
	if !isJSON(response.Header) || json.Unmarshal(body, &problem) != nil {
		return e
	}
	e.Message = problem.Message
	if e.Message == "" {
		e.Message = problem.Error
	}
	if e.Message == "" {
		return e
	}
	e.Errors = problem.Errors
	if problem.Details != nil {
		e.Details = *problem.Details
	}
	if e.RetryAfter == 0 {
		e.RetryAfter = time.Duration(e.Details.RetryAfter) * time.Second
	}
	switch {
	case response.Header.Get(wire.ErrorCodeHeader) != "":
		e.Code = Code(response.Header.Get(wire.ErrorCodeHeader))
	case problem.Code != "":
		e.Code = Code(problem.Code)
	default:
		e.Code = codeOfStatus(e.Status, problem)
	}
	return e
}

// codeOfStatus names a refusal whose answer has no code: the bodies that were fixed before codes existed.
func codeOfStatus(status int, problem wire.Problem) Code {
	switch {
	case status == http.StatusUnauthorized && problem.Error != "":
		return CodeInvalidCredentials
	case status == http.StatusUnauthorized:
		return CodeUnauthenticated
	case status == http.StatusUnprocessableEntity:
		return CodeValidationFailed
	case status == http.StatusTooManyRequests:
		return CodeTooManyAttempts
	case status == http.StatusNotFound:
		return CodeNotFound
	}
	return Code("http_" + strconv.Itoa(status))
}

func isJSON(header http.Header) bool {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// retryAfter reads the header's form in seconds; the form with a date is not one the API uses.
func retryAfter(value string) time.Duration {
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}
