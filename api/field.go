package api

import (
	"errors"
	"net/mail"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"stile/vpn"
	"stile/wire"
)

// Limits of texts, in characters.
const (
	maxText     = 255
	maxPassword = 1024
	maxLink     = 1024
)

// fault notes that a field breaks a rule.
func (in *input) fault(field, rule string, limit int) {
	in.faults = append(in.faults, wire.FieldError{Field: field, Messages: []string{in.x.fault(field, rule, limit)}})
}

// field returns a value, trimmed; an empty text is absent. It notes the lack of one that is required.
func (in *input) field(name string, isRequired bool) value {
	v := in.values.of(name)
	if v.kind == kindText {
		if v.text = trim(v.text); v.text == "" {
			v.kind = kindAbsent
		}
	}
	if v.kind == kindAbsent && isRequired {
		in.fault(name, "required", 0)
	}
	return v
}

// isGiven reports whether a field has a value: null, an empty list and a blank text are none.
func (in *input) isGiven(name string) bool { return in.field(name, false).kind != kindAbsent }

// text reads a text of at most maxText characters.
func (in *input) text(name string, isRequired bool) string {
	v := in.field(name, isRequired)
	if v.kind == kindAbsent {
		return ""
	}
	return in.checked(name, v, maxText)
}

// checked returns a value that is a clean text of at most limit characters.
func (in *input) checked(name string, v value, limit int) string {
	switch {
	case v.kind != kindText || !isClean(v.text):
		in.fault(name, "string", 0)
		return ""
	case utf8.RuneCountInString(v.text) > limit:
		in.fault(name, "max", limit)
		return ""
	}
	return v.text
}

// email reads a required e-mail address.
func (in *input) email(name string) string {
	v := in.field(name, true)
	switch {
	case v.kind == kindAbsent:
		return ""
	case v.kind != kindText || !isClean(v.text):
		in.fault(name, "email", 0)
	case utf8.RuneCountInString(v.text) > maxText:
		in.fault(name, "max", maxText)
	case !isEmail(v.text):
		in.fault(name, "email", 0)
	default:
		return v.text
	}
	return ""
}

// password reads a required password as it was typed.
func (in *input) password(name string) string {
	v := in.values.of(name)
	if v.kind == kindAbsent || (v.kind == kindText && trim(v.text) == "") {
		in.fault(name, "required", 0)
		return ""
	}
	return in.checked(name, v, maxPassword)
}

// clientID reads what a client calls a device: a text, or a whole number.
func (in *input) clientID(name string, isRequired bool) string {
	v := in.field(name, isRequired)
	if v.kind == kindAbsent {
		return ""
	}
	if _, err := strconv.ParseInt(v.text, 10, 64); err == nil && v.kind == kindNumber {
		return v.text
	}
	return in.checked(name, v, maxText)
}

// device reads how a client names a device in a later call.
func (in *input) device() vpn.DeviceRef { return vpn.DeviceRef(in.clientID("device_id", false)) }

// integer reads a whole number, which may come as a text.
func (in *input) integer(name string, isRequired bool) int64 {
	v := in.field(name, isRequired)
	if v.kind == kindAbsent {
		return 0
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	if err != nil || (v.kind != kindText && v.kind != kindNumber) {
		in.fault(name, "integer", 0)
	}
	return n
}

// The domain names fields as commands and forms do; the API has other names for some.
var (
	planFields = map[string]string{
		"name": "name_ru", "devices": "device_limit", "days": "period_days", "grace": "grace_days", "traffic": "traffic_limit",
		"speed": "speed_limit_mbps", "next": "next_plan_id",
	}
	serverFields  = map[string]string{"ports": "shadowsocks_port", "city": "city_ru"}
	configFields  = map[string]string{"ports": "shadowsocks_port", "hold": "hold_seconds", "keep_old": "keep_old_seconds"}
	voucherFields = map[string]string{"expires": "expires_at"}
	jobFields     = map[string]string{"plan": "plan_is"} // of its filter
)

// spelled is an error with its field as the API names it.
func spelled(err error, names map[string]string) error {
	refusal, ok := errors.AsType[*vpn.Error](err)
	if !ok || names[refusal.Field] == "" {
		return err
	}
	renamed := *refusal
	renamed.Field = names[refusal.Field]
	return &renamed
}

// boolean reads a truth value, which may come as a text or as 0 and 1.
func (in *input) boolean(name string) bool {
	v := in.field(name, false)
	if v.kind == kindAbsent {
		return false
	}
	if v.kind != kindOther {
		switch v.text {
		case "true", "1":
			return true
		case "false", "0":
			return false
		}
	}
	in.fault(name, "boolean", 0)
	return false
}

// pathID reads the id in the path.
func (x *exchange) pathID() int64 { return x.pathNumber("id") }

// pathNumber reads an id in the path by its name there; what is none is an id that nothing has.
func (x *exchange) pathNumber(name string) int64 {
	id, err := strconv.ParseInt(x.resource.value(strings.TrimSuffix(x.r.URL.Path, "/"), name), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// trim cuts white space of every kind, the invisible too, from both ends.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\u200b' || r == '\u200e' || r == '\ufeff'
	})
}

// isClean reports whether a text can be kept by every database: valid UTF-8 without NUL.
func isClean(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// isEmail reports whether a text is an e-mail address and nothing else (RFC 5322 addr-spec, RFC 6532 letters).
func isEmail(s string) bool {
	address, err := mail.ParseAddress(s)
	return err == nil && address.Address == s
}
