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
func formValues(encoded string) (values, error) {
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
	fields := make(values, 0, len(form))
	for name, all := range form {
		fields = fields.with(name, value{kindText, all[len(all)-1]})
	}
	return fields, nil
}

// multipartValues reads a form of the type multipart/form-data. Files are no values that any route takes.
func multipartValues(body []byte, boundary string) (values, error) {
	malformed := vpn.Refusal(codeMalformedBody)
	if boundary == "" {
		return nil, malformed
	}
	var fields values
	form := multipart.NewReader(bytes.NewReader(body), boundary)
	for range maxParts {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return fields, nil
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
		fields = fields.with(part.FormName(), v)
	}
	return nil, malformed
}

// with adds a field of a form: a name with brackets is a list under the name before them.
func (v values) with(name string, of value) values {
	if base, _, isList := strings.Cut(name, "["); isList && base != "" {
		name, of = base, value{kind: kindOther}
	}
	return append(v, field{name, of})
}
