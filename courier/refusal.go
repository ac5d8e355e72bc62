package courier

import (
	"context"
	"html"
	"log/slog"
	"net/http"
	"strings"

	"stile/vpn"
)

// RefusalPath is below which links in mails lead that end the notices.
const RefusalPath = "/mail/off/"

// RefusalURL is such a link.
func RefusalURL(publicURL, token string) string { return publicURL + RefusalPath + token }

// maxForm bounds what is sent to the page, in bytes. Nothing of it is read.
const maxForm = 4096

const refusalHead = `<!doctype html><html lang="ru"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
	`<meta name="robots" content="noindex"><title>Уведомления · Notices</title></head><body><main>`

// Refusal serves RefusalPath. GET asks, as programs that look at mails follow links; POST ends the notices, also when a mail
// program sends it at one click (RFC 8058). refuse is vpn.Service.RefuseMail.
func Refusal(refuse func(ctx context.Context, token string) error, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.URL.Path, RefusalPath)
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			page(w, http.StatusOK, `<h1>Не присылать уведомления? · Stop the notices?</h1><form method="post" action="`+
				html.EscapeString(RefusalPath+token)+`"><button>Не присылать · Stop</button></form>`)
		case http.MethodPost:
			r.Body = http.MaxBytesReader(w, r.Body, maxForm)
			switch err := refuse(r.Context(), token); {
			case err == nil:
				page(w, http.StatusOK, "<h1>Больше не пришлём. · You get no more of them.</h1>")
			case vpn.CodeOf(err) != "":
				page(w, http.StatusNotFound, "<h1>Эта ссылка не действует. · This link is no longer valid.</h1>")
			default:
				log.ErrorContext(r.Context(), "notices could not be ended", "error", err)
				page(w, http.StatusInternalServerError, "<h1>Не получилось. Попробуйте позже. · This failed. Try again later.</h1>")
			}
		default:
			h.Set("Allow", "GET, HEAD, POST")
			page(w, http.StatusMethodNotAllowed, "<h1>405</h1>")
		}
	})
}

// page writes one; a client that went away gets none.
func page(w http.ResponseWriter, status int, content string) {
	w.WriteHeader(status)
	_, _ = w.Write([]byte(refusalHead + content + "</main></body></html>\n"))
}
