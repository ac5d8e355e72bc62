package api

import (
	"bytes"
	_ "embed"
	"net/http"
	"time"
)

//go:embed openapi.yaml
var openAPI []byte

// Document returns the description of the API, an OpenAPI file in YAML: read only.
func Document() []byte { return openAPI }

func (a *API) openAPI(x *exchange) error {
	h := x.w.Header()
	h["Content-Type"] = []string{"application/yaml"}
	h["Access-Control-Allow-Origin"] = anyOrigin
	x.status = http.StatusOK
	http.ServeContent(x.w, x.r, "openapi.yaml", time.Time{}, bytes.NewReader(openAPI))
	return nil
}
