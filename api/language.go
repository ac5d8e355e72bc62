package api

import (
	"embed"

	"stile/internal/locale"
)

//go:embed messages/*.json
var messageFiles embed.FS

// language returns the language of the answer.
func (x *exchange) language() locale.Lang {
	if x.lang == "" {
		x.lang = x.api.texts.Preferred(x.r.Header.Get("Accept-Language"))
	}
	return x.lang
}
