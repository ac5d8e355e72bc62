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
func jsonValues(body []byte) (values, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) || isTooDeep(body) || !json.Valid(body) {
		return nil, vpn.Refusal(codeMalformedJSON)
	}
	switch {
	case body[0] == '{':
		return members(body[1 : len(body)-1]), nil
	case body[0] == 'n', body[0] == '[' && len(bytes.TrimSpace(body[1:len(body)-1])) == 0:
		return nil, nil
	}
	return nil, vpn.Refusal(codeMalformedJSON)
}

// members reads what is between the braces of a valid object. Its own walk is short because the object is known to be
// valid, and takes a third of what a map of json.RawMessage does.
func members(object []byte) values {
	fields := make(values, 0, 4)
	for rest := bytes.TrimSpace(object); len(rest) > 0; {
		var name, raw []byte
		name, rest = cutValue(rest)
		_, rest, _ = bytes.Cut(rest, []byte(":"))
		raw, rest = cutValue(bytes.TrimSpace(rest))
		fields = append(fields, field{jsonValue(name).text, jsonValue(raw)})
		_, rest, _ = bytes.Cut(rest, []byte(","))
		rest = bytes.TrimSpace(rest)
	}
	return fields
}

// cutValue cuts the first value off valid JSON.
func cutValue(b []byte) (raw, rest []byte) {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			if inString = !inString; !inString && depth == 0 {
				return b[:i+1], b[i+1:]
			}
		case inString:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return b[:i+1], b[i+1:]
			}
		case depth == 0 && (c == ',' || c == ':' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// jsonValue reads one valid JSON value.
func jsonValue(raw []byte) value {
	switch raw[0] {
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return value{kindText, string(raw[1 : len(raw)-1])}
		}
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
			return value{text: string(raw)}
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
