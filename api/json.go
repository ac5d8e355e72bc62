package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"stile/vpn"
)

// maxDepth bounds how deep lists and objects of an input are nested.
const maxDepth = 32

// jsonValues reads the fields of a JSON object. The last of several fields of one name counts. An empty body, null and
// an empty list (which some languages write for an empty object) are an empty object.
func jsonValues(body []byte) (map[string]value, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) || isTooDeep(body) {
		return nil, vpn.Refusal(codeMalformedJSON)
	}
	if body[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(body, &list) != nil || len(list) > 0 {
			return nil, vpn.Refusal(codeMalformedJSON)
		}
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return nil, vpn.Refusal(codeMalformedJSON)
	}
	values := make(map[string]value, len(fields))
	for name, raw := range fields {
		values[name] = jsonValue(raw)
	}
	return values, nil
}

// jsonValue reads one valid JSON value.
func jsonValue(raw json.RawMessage) value {
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return value{kind: kindOther}
		}
		return value{kindText, s}
	case 'n':
		return value{}
	case 't', 'f':
		return value{kindBoolean, string(raw)}
	case '[', '{':
		if isEmpty := len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0; isEmpty {
			return value{}
		}
		return value{kind: kindOther, text: string(raw)}
	default:
		return value{kindNumber, wholeNumber(string(raw))}
	}
}

// wholeNumber writes a number that is whole, however it was written, with digits alone.
func wholeNumber(literal string) string {
	const maxExact = 1 << 53
	if _, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return literal
	}
	if f, err := strconv.ParseFloat(literal, 64); err == nil && f > -maxExact && f < maxExact && f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return literal
}

// isTooDeep reports whether brackets outside of strings are nested deeper than maxDepth.
func isTooDeep(body []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
