package vpn

import (
	"errors"
	"time"
)

// Code names a refusal. Codes are stable: clients switch on them, translations hang on them.
type Code string

// The codes of refusals, as the API documents them.
const (
	CodeUnauthenticated       Code = "unauthenticated"
	CodeInvalidCredentials    Code = "invalid_credentials"
	CodeOTPRequired           Code = "otp_required"
	CodeOTPInvalid            Code = "otp_invalid"
	CodeValidationFailed      Code = "validation_failed"
	CodeTooManyAttempts       Code = "too_many_attempts"
	CodeDeviceLimitReached    Code = "device_limit_reached"
	CodeDeviceNotFound        Code = "device_not_found"
	CodeDeviceMismatch        Code = "device_mismatch"
	CodeAccountBlocked        Code = "account_blocked"
	CodeSubscriptionRequired  Code = "subscription_required"
	CodeSubscriptionExpired   Code = "subscription_expired"
	CodeTrafficQuotaExceeded  Code = "traffic_quota_exceeded"
	CodePlanUpgradeRequired   Code = "plan_upgrade_required"
	CodeServerNotFound        Code = "server_not_found"
	CodeProtocolUnavailable   Code = "protocol_unavailable"
	CodeServerOffline         Code = "server_offline"
	CodeServerFull            Code = "server_full"
	CodeServerMaintenance     Code = "server_maintenance"
	CodeVoucherInvalid        Code = "voucher_invalid"
	CodeInvitationInvalid     Code = "invitation_invalid"
	CodePasskeyInvalid        Code = "passkey_invalid"
	CodeSignUpInvalid         Code = "sign_up_invalid"
	CodeLastOwner             Code = "last_owner"
	CodeResetInvalid          Code = "reset_invalid"
	CodeKeyReused             Code = "idempotency_key_reused"
	CodeKeyInUse              Code = "idempotency_key_in_use"
	CodeNotFound              Code = "not_found"
	CodeConflict              Code = "conflict"
	CodeRolloutState          Code = "rollout_state"
	CodeForbidden             Code = "forbidden"
	CodeInsufficientScope     Code = "insufficient_scope"
	CodeNotConfigured         Code = "not_configured"
	CodeMailFailed            Code = "mail_failed"
	CodeTemporarilyOverloaded Code = "temporarily_unavailable"
)

// Error is a refusal that the caller may see: its Code, and what helps to act on it. Anything that is not an *Error is
// a fault of ours and stays private.
type Error struct {
	Code Code
	// Field names the input at fault, as commands and forms do, for CodeValidationFailed and CodeConflict.
	Field string
	// Rule names what Field breaks: required, string, email, integer, max (with Max), exists, in.
	Rule string
	// Max is the limit that Field exceeds, in characters, with Rule "max".
	Max int
	// RetryAfter is when a new try can succeed, zero when time alone does not help.
	RetryAfter time.Duration
	// ResetsAt is when a used-up quota starts anew, zero when it does not.
	ResetsAt time.Time
	// Limit is the number of devices the plan allows, with CodeDeviceLimitReached.
	Limit int
	// Devices are those that hold the slots, with CodeDeviceLimitReached.
	Devices []Device
	// Available are the protocols the server offers, with CodeProtocolUnavailable.
	Available []Protocol
	// Alternatives are ids of servers that would serve now, best first, when the asked one does not.
	Alternatives []int64
	// Attempts are the allowed tries per minute, with CodeTooManyAttempts.
	Attempts int
	// Scope is what the token would need, with CodeInsufficientScope.
	Scope Scopes
	// Reason is what the mail server said, with CodeMailFailed.
	Reason string
	// Ticket stands for the password in the second step of a browser's sign-in, with CodeOTPRequired.
	Ticket string
}

// Error returns the code and, where there is one, the field.
func (e *Error) Error() string {
	if e.Field == "" {
		return string(e.Code)
	}
	return string(e.Code) + ": " + e.Field + " (" + e.Rule + ")"
}

// Is reports whether target is an *Error with the same Code, so that errors.Is(err, vpn.Refusal(code)) reads well.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Refusal returns the bare *Error of a code.
func Refusal(code Code) *Error { return &Error{Code: code} }

// CodeOf returns the code of a refusal anywhere in err's chain, or "" when err is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// invalid is a validation refusal.
func invalid(field, rule string) *Error {
	return &Error{Code: CodeValidationFailed, Field: field, Rule: rule}
}

// tooLong refuses what is longer than most.
func tooLong(field string, most int) *Error {
	return &Error{Code: CodeValidationFailed, Field: field, Rule: "max", Max: most}
}

// isLong reports whether a shown text, such as a name or a note, is longer than maxName.
func isLong(text string) bool { return len([]rune(text)) > maxName }
