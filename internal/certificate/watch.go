package certificate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// maxProblem bounds what is read of an answer to look for a problem, in bytes.
const maxProblem = 64 << 10

// watch logs what the authority complains of. autocert tells nobody why a renewal failed, and of a challenge that failed
// only that there is no other.
type watch struct {
	cfg     ACMEConfig
	next    http.RoundTripper
	hasHTTP bool // HTTP-01 is answered, too

	mu   sync.Mutex
	told string // address of the challenge whose failure was told last
}

// problem is an error of the authority (RFC 8555 section 6.7).
type problem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// answer is what errors hide in: a problem document, or an authorization whose challenge failed (section 7.1.4).
type answer struct {
	problem
	Challenges []struct {
		Type  string   `json:"type"`
		URL   string   `json:"url"`
		Error *problem `json:"error"`
	} `json:"challenges"`
}

// RoundTrip implements http.RoundTripper.
func (w *watch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil {
		if r.Context().Err() == nil {
			w.cfg.Log.Warn("the certificate authority cannot be reached", "directory", w.cfg.Directory, "error", err,
				"remedy", "check this machine's way out (names, firewall, clock) and the directory's address; a private authority needs its root")
		}
		return nil, err
	}
	if !strings.Contains(resp.Header.Get("Content-Type"), "json") {
		return resp, nil
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	if err != nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("certificate: read the authority's answer: %w", err)
	}
	resp.Body = &rejoined{Reader: io.MultiReader(bytes.NewReader(head), resp.Body), Closer: resp.Body}
	w.look(resp.StatusCode, head)
	return resp, nil
}

// rejoined is a body whose beginning was read already.
type rejoined struct {
	io.Reader
	io.Closer
}

func (w *watch) look(status int, body []byte) {
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return
	}
	if status >= 400 && !strings.HasSuffix(a.Type, ":badNonce") { // of which there are some in every day's work
		w.log("", a.problem)
	}
	for _, c := range a.Challenges {
		// The manager tries port 443 first, which may be another's where port 80 is ours.
		if c.Error != nil && !(w.hasHTTP && c.Type == "tls-alpn-01") && w.isNew(c.URL) {
			w.log(c.Type, *c.Error)
		}
	}
}

// isNew reports whether a challenge's failure was not told yet: the manager looks at it once more to tidy up.
func (w *watch) isNew(url string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	isNew := url != w.told
	w.told = url
	return isNew
}

// log tells of a refusal, or of a challenge of the name that failed.
func (w *watch) log(challenge string, p problem) {
	w.cfg.Log.Warn("the certificate authority refuses", "name", w.cfg.Name, "challenge", challenge, "problem", p.Type, "detail", p.Detail, "remedy", remedy(p, w.cfg.Name))
}

// remedy says what to do about a problem, by its type (RFC 8555 section 6.7).
func remedy(p problem, name string) string {
	kind := strings.TrimPrefix(p.Type, "urn:ietf:params:acme:error:")
	switch { // some authorities have other types for these
	case strings.Contains(p.Detail, "resolve"):
		kind = "dns"
	case strings.Contains(p.Detail, "connect"):
		kind = "connection"
	}
	switch kind {
	case "dns":
		return fmt.Sprintf("the name %s does not resolve: give it an A or AAAA record with this machine's address", name)
	case "connection":
		return fmt.Sprintf("nobody answers there: let Stile listen on port 443 of %s (--ping-listen :443 or --https-port 443), or on 80 (--acme-listen :80), and open it to the whole internet", name)
	case "unauthorized", "tls", "incorrectResponse":
		return fmt.Sprintf("another server answers for %s: point the name at this machine, and let port 443 (or 80) lead to Stile", name)
	case "rateLimited":
		return "wait: the authority has given this name too many certificates, or seen too many failures, for now"
	case "caa":
		return fmt.Sprintf("a CAA record of %s allows other authorities only: add this one", name)
	case "rejectedIdentifier", "unsupportedIdentifier":
		return fmt.Sprintf("the authority gives no certificates for %s: use another name or another authority", name)
	case "externalAccountRequired", "userActionRequired":
		return "this authority wants an account made by hand: use another one"
	}
	return fmt.Sprintf("check that %s resolves to this machine and that port 443 (or 80) of it can be reached from the internet", name)
}
