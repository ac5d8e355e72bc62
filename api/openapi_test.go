package api

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
)

// document is openapi.yaml with what checks calls against it.
type document struct {
	model *v3.Document
	validator.Validator
}

func newDocument(t testing.TB) *document {
	t.Helper()
	parsed := must(libopenapi.NewDocument(openAPI))(t)
	model := must(parsed.BuildV3Model())(t)
	v, errs := validator.NewValidator(parsed, config.WithFormatAssertions(), config.WithURLEncodedBodyValidation())
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	t.Cleanup(v.Release)
	return &document{&model.Model, v}
}

// check holds a call against the document: an accepted request and every answer must be as it says. What has no route
// is not in it.
func (d *document) check(t *testing.T, r *http.Request, answer reply) {
	t.Helper()
	// HEAD is GET without the body, OPTIONS is the edge's: neither is described for each path.
	if r.Method == http.MethodHead || r.Method == http.MethodOptions || answer.Header.Get("X-Error-Code") == "not_found" && answer.StatusCode == 404 ||
		answer.StatusCode == http.StatusMethodNotAllowed {
		return
	}
	if r.URL.Path != "/" {
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
	}
	if answer.StatusCode < 400 {
		if r.Body != nil && r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if ok, errs := d.ValidateHttpRequestSync(r); !ok {
			for _, e := range errs {
				t.Errorf("accepted, but openapi.yaml refuses the request: %s (%s)", e.Message, e.Reason)
			}
		}
	}
	body := answer.body
	if answer.Header.Get("Content-Type") == "application/jsonl" {
		if body, _, _ = strings.Cut(body, "\n"); body == "" {
			return
		}
	}
	resp := *answer.Response
	resp.Body = io.NopCloser(strings.NewReader(body))
	if ok, errs := d.ValidateHttpResponse(r, &resp); !ok {
		for _, e := range errs {
			t.Errorf("openapi.yaml knows no such answer: %s (%s): %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

// inputs are the names of what a call may hold, in its body or its query.
func (d *document) inputs(method, pattern string) (names []string) {
	op := d.model.Paths.PathItems.GetOrZero(pattern).GetOperations().GetOrZero(strings.ToLower(method))
	for _, p := range op.Parameters {
		names = append(names, p.Name)
	}
	if op.RequestBody != nil {
		names = slices.AppendSeq(names, op.RequestBody.Content.GetOrZero("application/json").Schema.Schema().Properties.KeysFromOldest())
	}
	return names
}

func TestDocumentIsValid(t *testing.T) {
	if ok, errs := newDocument(t).ValidateDocument(); !ok {
		for _, e := range errs {
			t.Errorf("%s: %s: %v", e.Message, e.Reason, e.SchemaValidationErrors)
		}
	}
}

// TestDocumentHasTheRoutes compares the map with the document: the same routes, public where it says so, each described
// and with an example of what it answers.
func TestDocumentHasTheRoutes(t *testing.T) {
	d := newDocument(t)
	described := map[string]bool{} // whether it is public
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method, op := range item.GetOperations().FromOldest() {
			route := strings.ToUpper(method) + " " + path
			described[route] = op.Security != nil && len(op.Security) == 0
			if op.Summary == "" || op.Description == "" {
				t.Errorf("%s has no summary or no description", route)
			}
			for code, resp := range op.Responses.Codes.FromOldest() {
				if code == "304" || code == "204" || resp.Content == nil {
					continue
				}
				if media, ok := resp.Content.Get("application/json"); ok && (media.Examples == nil || media.Examples.Len() == 0) {
					t.Errorf("%s has no example of %s", route, code)
				}
			}
		}
	}
	var routes []string
	for _, r := range Routes() {
		route := r.Method + " " + r.Path
		routes = append(routes, route)
		isPublic, isDescribed := described[route]
		if !isDescribed || isPublic != r.IsPublic {
			t.Errorf("%s: public %v; in openapi.yaml: described %v, public %v", route, r.IsPublic, isDescribed, isPublic)
		}
	}
	for route := range described {
		if !slices.Contains(routes, route) {
			t.Errorf("%s is in openapi.yaml and nowhere else", route)
		}
	}
}
