package api

import (
	"net/http"

	"stile/vpn"
)

// The codes of refusals that only the edge knows.
const (
	codeMalformedJSON    vpn.Code = "malformed_json"
	codeMalformedBody    vpn.Code = "malformed_body"
	codePayloadTooLarge  vpn.Code = "payload_too_large"
	codeMethodNotAllowed vpn.Code = "method_not_allowed"
	codeServerError      vpn.Code = "server_error"
	codeSignatureInvalid vpn.Code = "signature_invalid"
	codeSignatureExpired vpn.Code = "signature_expired"

	codeBadIdempotencyKey vpn.Code = "idempotency_key_invalid"
)

// statuses are the HTTP statuses of the codes.
var statuses = map[vpn.Code]int{
	codeMalformedJSON:             http.StatusBadRequest,
	codeMalformedBody:             http.StatusBadRequest,
	codePayloadTooLarge:           http.StatusRequestEntityTooLarge,
	codeMethodNotAllowed:          http.StatusMethodNotAllowed,
	codeServerError:               http.StatusInternalServerError,
	codeSignatureInvalid:          http.StatusUnauthorized,
	codeSignatureExpired:          http.StatusUnauthorized,
	vpn.CodeUnauthenticated:       http.StatusUnauthorized,
	vpn.CodeInvalidCredentials:    http.StatusUnauthorized,
	vpn.CodeOTPRequired:           http.StatusUnauthorized,
	vpn.CodeOTPInvalid:            http.StatusUnauthorized,
	vpn.CodeValidationFailed:      http.StatusUnprocessableEntity,
	vpn.CodeTooManyAttempts:       http.StatusTooManyRequests,
	vpn.CodeDeviceLimitReached:    http.StatusConflict,
	vpn.CodeDeviceNotFound:        http.StatusNotFound,
	vpn.CodeDeviceMismatch:        http.StatusForbidden,
	vpn.CodeAccountBlocked:        http.StatusForbidden,
	vpn.CodeSubscriptionRequired:  http.StatusPaymentRequired,
	vpn.CodeSubscriptionExpired:   http.StatusPaymentRequired,
	vpn.CodeTrafficQuotaExceeded:  http.StatusPaymentRequired,
	vpn.CodePlanUpgradeRequired:   http.StatusForbidden,
	vpn.CodeServerNotFound:        http.StatusNotFound,
	vpn.CodeProtocolUnavailable:   http.StatusUnprocessableEntity,
	vpn.CodeServerOffline:         http.StatusServiceUnavailable,
	vpn.CodeServerFull:            http.StatusServiceUnavailable,
	vpn.CodeServerMaintenance:     http.StatusServiceUnavailable,
	vpn.CodeVoucherInvalid:        http.StatusUnprocessableEntity,
	vpn.CodeInvitationInvalid:     http.StatusUnprocessableEntity,
	vpn.CodeSignUpInvalid:         http.StatusUnprocessableEntity,
	vpn.CodePasskeyInvalid:        http.StatusUnauthorized,
	vpn.CodeNotFound:              http.StatusNotFound,
	vpn.CodeConflict:              http.StatusConflict,
	codeBadIdempotencyKey:         http.StatusBadRequest,
	vpn.CodeKeyReused:             http.StatusUnprocessableEntity,
	vpn.CodeKeyInUse:              http.StatusConflict,
	vpn.CodeResetInvalid:          http.StatusUnprocessableEntity,
	vpn.CodeLastOwner:             http.StatusConflict,
	vpn.CodeRolloutState:          http.StatusConflict,
	vpn.CodeForbidden:             http.StatusForbidden,
	vpn.CodeInsufficientScope:     http.StatusForbidden,
	vpn.CodeNotConfigured:         http.StatusConflict,
	vpn.CodeMailFailed:            http.StatusUnprocessableEntity,
	vpn.CodeTemporarilyOverloaded: http.StatusServiceUnavailable,
}
