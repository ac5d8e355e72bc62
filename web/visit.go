package web

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stile/internal/locale"
	"stile/vpn"
)

// maxFormBytes bounds what a form may send.
const maxFormBytes = 64 << 10

// visit is one request with its answer.
type visit struct {
	site      *Site
	w         http.ResponseWriter
	r         *http.Request
	startedAt time.Time
	id        string
	lang      locale.Lang
	theme     string
	route     string // "" where there is no route
	secret    string // of the session
	actor     *vpn.Actor

	// sent is the answer's body, as it was before it was compressed.
	sent []byte

	// What became of it, for the event.
	status int
	code   vpn.Code
	err    error
	// took is how long the answer took to begin, where it goes on while somebody looks; 0 elsewhere.
	took time.Duration
}

// handler serves one route. It writes the answer, or returns the error to answer with.
type handler func(*visit) error

// serve finds out who asks and serves the route.
func (v *visit) serve(h handler, isPublic bool) {
	err := v.authenticate()
	switch {
	case err != nil:
	case v.actor == nil && !isPublic:
		v.toSignIn()
		return
	default:
		err = h(v)
	}
	if err != nil {
		v.refuse(err)
	}
}

// csp allows what comes from here, as files, and nothing else: no script, style or handler in a page.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

func (v *visit) setHeaders() {
	h := v.w.Header()
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Request-Id", v.id)
	if v.site.isSecure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// pingable adds the origins that a page's script may time to what it may connect to.
func (v *visit) pingable(origins []string) {
	v.w.Header().Set("Content-Security-Policy", strings.Replace(csp, "connect-src 'self'", "connect-src 'self' "+strings.Join(origins, " "), 1))
}

// page answers with a page, compressed when the browser takes that.
func (v *visit) page(status int, name string, data any) error {
	var b bytes.Buffer
	if err := v.site.pages.render(&b, name, v, data); err != nil {
		return err
	}
	v.send(status, "text/html; charset=utf-8", b.Bytes())
	return nil
}

// send writes an answer, compressed when the browser takes that.
func (v *visit) send(status int, contentType string, body []byte) {
	v.status, v.sent = status, body
	h := v.w.Header()
	h.Set("Content-Type", contentType)
	h.Add("Vary", "Accept-Encoding, Accept-Language, Cookie")
	if takesGzip(v.r) && len(body) > 1<<10 {
		var b bytes.Buffer
		z, _ := v.site.zippers.Get().(*gzip.Writer)
		z.Reset(&b)
		_, err := z.Write(body)
		if err = errors.Join(err, z.Close()); err == nil {
			h.Set("Content-Encoding", "gzip")
			body = b.Bytes()
		}
		v.site.zippers.Put(z)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(body) // whoever asked may be gone
}

func takesGzip(r *http.Request) bool {
	for accepted := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if coding, weight, _ := strings.Cut(strings.TrimSpace(accepted), ";"); coding == "gzip" {
			return strings.ReplaceAll(weight, " ", "") != "q=0"
		}
	}
	return false
}

// redirect sends the browser to a page by GET.
func (v *visit) redirect(path string) error {
	v.status = http.StatusSeeOther
	v.w.Header().Set("Location", path)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// done sends the browser to a page that says what was done: the key of a message below "done.".
func (v *visit) done(path, what string) error { return v.redirect(path + "?done=" + what) }

// toSignIn leads whoever has no session to the sign-in, and from a page back to it.
func (v *visit) toSignIn() {
	v.code = vpn.CodeUnauthenticated
	to := "/signin"
	if v.r.Method == http.MethodGet && v.r.URL.Path != "/account" {
		to += "?next=" + url.QueryEscape(v.r.URL.Path)
	}
	_ = v.redirect(to)
}

// pathID returns a number of the path; 0 for what is none, which names nothing.
func (v *visit) pathID(name string) int64 {
	id, err := strconv.ParseInt(v.r.PathValue(name), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// form returns a field of the form without blanks around it, and without what is no text: PostgreSQL would refuse it.
func (v *visit) form(name string) string { return v.clean(v.r.PostFormValue(name)) }

// clean is form for a text that came in another way.
func (*visit) clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(text)
}

// password returns a field of the form as it was typed.
func (v *visit) password(name string) string { return v.r.PostFormValue(name) }

// end turns a panic into an answer and writes the one event of the request.
func (v *visit) end() {
	if cause := recover(); cause != nil {
		err := fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		if v.status != 0 {
			v.err = err
			v.event()
			panic(http.ErrAbortHandler) // the answer is half there: only cutting it off tells the browser
		}
		v.refuse(err)
	}
	v.event()
}
