package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"stile/internal/locale"
	"stile/vpn"
)

// kind is what a value of the input was written as.
type kind byte

const (
	kindAbsent kind = iota // not there, null, or an empty list
	kindText
	kindNumber
	kindBoolean
	kindOther // a list, an object or a file
)

// value is one value of the input.
type value struct {
	kind kind
	text string // as written; of a text, without quotes; of a list or an object in JSON, also an empty one, its JSON
}

// values are the fields of an input in the order in which they came. The last of several of one name counts.
type values []field

type field struct {
	name string
	value
}

// of returns what a field has; nothing when it is not there.
func (v values) of(name string) value {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].name == name {
			return v[i].value
		}
	}
	return value{}
}

// input is what a client sends with a request: the values of its body, or of the query for a request without one.
// What reads it notes faults instead of returning them, so that a client hears of all of them at once.
type input struct {
	x      *exchange
	values values
	faults faults
}

// nothing is the input of routes that take none.
type nothing struct{}

func (*nothing) read(*input) {}

// asked is the input of routes that only need to know the language, and how the client reached them.
type asked struct {
	lang    locale.Lang
	baseURL string
}

func (a *asked) read(in *input) { a.lang, a.baseURL = in.x.language(), in.x.baseURL() }

// read fills req from the request.
func (x *exchange) read(req interface{ read(*input) }) error {
	switch req := req.(type) {
	case *nothing:
		return nil
	case *asked:
		req.lang, req.baseURL = x.language(), x.baseURL()
		return nil
	}
	in := &input{x: x}
	var err error
	if in.values, err = x.values(); err != nil {
		return err
	}
	if req.read(in); len(in.faults) > 0 {
		return in.faults
	}
	return nil
}

// values reads the body by its content type, or the query of a request that has no body by its method.
func (x *exchange) values() (values, error) {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return formValues(x.r.URL.RawQuery)
	}
	body, err := x.readBody()
	if err != nil {
		return nil, err
	}
	return bodyValues(x.r.Header.Get("Content-Type"), body)
}

// soonBytes is how much room a body gets before it is there: what is longer has to arrive first.
const soonBytes = 4 << 10

// readBody reads the body within its bound.
func (x *exchange) readBody() ([]byte, error) {
	var body []byte
	var err error
	if n := x.r.ContentLength; n >= 0 && n <= soonBytes {
		body = make([]byte, n)
		_, err = io.ReadFull(x.r.Body, body)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, maxBodyBytes))
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, errTooLarge()
	}
	if err != nil && !x.isGone(err) {
		return nil, vpn.Refusal(codeMalformedBody)
	}
	return body, err
}

// bodyValues reads a body by its content type. A body without a type that is known is JSON if it looks like it, and
// otherwise nothing.
func bodyValues(contentType string, body []byte) (values, error) {
	if contentType == "application/json" { // what nearly all send
		return jsonValues(body)
	}
	mediaType, params, _ := mime.ParseMediaType(contentType) // what cannot be parsed is no known type
	switch {
	case strings.HasSuffix(mediaType, "/json") || strings.HasSuffix(mediaType, "+json"):
		return jsonValues(body)
	case mediaType == "application/x-www-form-urlencoded":
		return formValues(string(body))
	case mediaType == "multipart/form-data":
		return multipartValues(body, params["boundary"])
	case strings.HasPrefix(strings.TrimLeft(string(body), " \t\r\n"), "{"):
		return jsonValues(body)
	default:
		return nil, nil
	}
}

// errTooLarge refuses a body beyond maxBodyBytes.
func errTooLarge() error { return &vpn.Error{Code: codePayloadTooLarge, Max: maxBodyBytes >> 10} }
