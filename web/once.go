package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
)

// onceField is the field of a form whose value is new with each page.
const onceField = "once"

// oncePatience is how long a form that is sent again waits for what comes of the first.
const oncePatience = 2 * time.Second

// onceToken is the field with a token, as templates put it into a form.
func onceToken() template.HTML {
	return template.HTML(`<input type="hidden" name="` + onceField + `" value="` + rand.Text() + `">`) //nolint:gosec // letters and digits
}

// once serves a form with a token the first time that it is sent, and answers it again later, as the API does by its
// Idempotency-Key: a second click, or a page that is loaded anew, makes nothing more and shows again what is shown once. The same
// token with other values is another form. Refusals are not kept: they changed nothing.
func (s *Site) once(h handler) handler {
	return func(v *visit) error {
		if v.form(onceField) == "" {
			return h(v)
		}
		name, digest := onceName(&v.actor.User, v.r.URL.Path, v.r.PostForm)
		answer, err := s.firstAnswer(v.r.Context(), v.actor, name, digest)
		if err != nil || answer != nil {
			if err == nil {
				v.answerAgain(answer)
			}
			return err
		}
		v.r = v.r.WithContext(context.WithoutCancel(v.r.Context())) // a second click hangs up on the first, and wants its answer
		err = h(v)
		_, isOurs := errors.AsType[*pageError](err)
		switch {
		case isOurs || vpn.CodeOf(err) != "" || v.code != "":
			v.err = errors.Join(v.err, s.service.DropAnswer(v.r.Context(), v.actor, name))
		case err == nil:
			v.err = errors.Join(v.err, s.service.KeepAnswer(v.r.Context(), v.actor, name, digest, v.answered()))
		}
		return err
	}
}

// onceName is what a form's first answer is kept under, and the digest of all that makes it the same form: who sends it, being what,
// where to, and the values.
func onceName(u *vpn.User, path string, form url.Values) (string, [32]byte) {
	digest := sha256.Sum256([]byte(strings.Join([]string{string(u.Role), string(u.Status), path, form.Encode()}, "\x00")))
	return "form " + base64.RawURLEncoding.EncodeToString(digest[:]), digest
}

// firstAnswer claims a form, or returns its first answer, for which it waits a little.
func (s *Site) firstAnswer(ctx context.Context, a *vpn.Actor, name string, digest [32]byte) ([]byte, error) {
	for until := time.Now().Add(oncePatience); ; {
		answer, err := s.service.FirstAnswer(ctx, a, name, digest)
		if vpn.CodeOf(err) != vpn.CodeKeyInUse || time.Now().After(until) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// answered is what the visit was answered with: the status, where it was sent, and below them the page.
func (v *visit) answered() []byte {
	return append(fmt.Appendf(nil, "%d %s\n", v.status, v.w.Header().Get("Location")), v.sent...)
}

// answerAgain is the inverse of answered.
func (v *visit) answerAgain(kept []byte) {
	head, page, _ := bytes.Cut(kept, []byte("\n"))
	status, location, _ := strings.Cut(string(head), " ")
	if location != "" {
		_ = v.redirect(location) // never fails
		return
	}
	code, _ := strconv.Atoi(status)
	v.send(code, "text/html; charset=utf-8", page)
}
