package api

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/url"
	"strings"

	"stile/vpn"
)

// maxParts bounds the fields of a form.
const maxParts = 100

// formValues reads a form of the type x-www-form-urlencoded, or a query. The last of several fields of one name counts;
// a name with brackets makes a list.
func formValues(encoded string) (map[string]value, error) {
	if encoded == "" {
		return nil, nil
	}
	if strings.Count(encoded, "&") >= maxParts {
		return nil, vpn.Refusal(codeMalformedBody)
	}
	form, err := url.ParseQuery(encoded)
	if err != nil {
		return nil, vpn.Refusal(codeMalformedBody)
	}
	values := make(map[string]value, len(form))
	for name, all := range form {
		setField(values, name, value{kindText, all[len(all)-1]})
	}
	return values, nil
}

// multipartValues reads a form of the type multipart/form-data. Files are no values that any route takes.
func multipartValues(body []byte, boundary string) (map[string]value, error) {
	malformed := vpn.Refusal(codeMalformedBody)
	if boundary == "" {
		return nil, malformed
	}
	values := make(map[string]value)
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxParts {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, malformed
		}
		content, err := io.ReadAll(part)
		if err != nil {
			return nil, malformed
		}
		v := value{kindText, string(content)}
		if part.FileName() != "" {
			v = value{kind: kindOther}
		}
		setField(values, part.FormName(), v)
	}
	return nil, malformed
}

// setField keeps a field of a form: a name with brackets is a list under the name before them.
func setField(values map[string]value, name string, v value) {
	if base, _, isList := strings.Cut(name, "["); isList && base != "" {
		name, v = base, value{kind: kindOther}
	}
	values[name] = v
}
