package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// ErrorCodeHeader carries the code of an error on every refusal, also on those whose body has none.
const ErrorCodeHeader = "X-Error-Code"

// Problem is the body of a refusal. Which of the fields are there depends on the refusal: the documented ones have a
// message alone, wrong credentials have Error alone, invalid input has Message and Errors, all others Message and Code.
type Problem struct {
	// Error is the message of wrong credentials at sign-in.
	Error   string          `json:"error,omitempty"`
	Message string          `json:"message,omitempty"`
	Code    string          `json:"code,omitempty"`
	Errors  FieldErrors     `json:"errors,omitzero"`
	Details *ProblemDetails `json:"details,omitempty"`
}

// ProblemDetails help to act on a refusal; each belongs to certain codes.
type ProblemDetails struct {
	// RetryAfter is in seconds, with too_many_attempts and others that time heals.
	RetryAfter int `json:"retry_after,omitempty"`
	// Limit and Devices come with device_limit_reached.
	Limit   int      `json:"limit,omitempty"`
	Devices []Device `json:"devices,omitzero"`
	// RenewURL comes with subscription_required and subscription_expired.
	RenewURL string `json:"renew_url,omitempty"`
	// ResetsAt comes with traffic_quota_exceeded.
	ResetsAt *time.Time `json:"resets_at,omitempty"`
	// Available are the protocols of the server, with protocol_unavailable.
	Available []string `json:"available,omitzero"`
	// Scope is what the token would need, with insufficient_scope.
	Scope string `json:"scope,omitempty"`
	// Alternatives are ids of servers that would serve now, with server_offline, server_full and server_maintenance.
	Alternatives []int64 `json:"alternatives,omitzero"`
	// Reason is what another said, with mail_failed.
	Reason string `json:"reason,omitempty"`
}

// FieldErrors are the faults of an input by field, in the order in which they were found. In JSON they are an object.
type FieldErrors []FieldError

// FieldError is what is wrong with one field of an input.
type FieldError struct {
	Field    string
	Messages []string
}

// MarshalJSON writes the object in the order of the slice.
func (e FieldErrors) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, f := range e {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(f.Field); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(f.Messages); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// UnmarshalJSON reads the object and keeps the order of its fields.
func (e *FieldErrors) UnmarshalJSON(raw []byte) error {
	*e = nil
	dec := json.NewDecoder(bytes.NewReader(raw))
	start, err := dec.Token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('{') {
		return errors.New("wire: errors of fields are not an object")
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		field, _ := name.(string) // the decoder allows nothing else here
		var messages []string
		if err := dec.Decode(&messages); err != nil {
			return err
		}
		*e = append(*e, FieldError{Field: field, Messages: messages})
	}
	return nil
}
