package api

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"stile/internal/locale"
	"stile/vpn"
)

// updateHours is how often clients should ask their subscription address again.
const updateHours = 12

// clientFile says which format a client reads: the first row whose agent is a part of the User-Agent, case ignored.
//
//go:embed clients.json
var clientFile []byte

// reader is a row of clientFile.
type reader struct {
	Agent  string `json:"agent"` // lower case
	Format string `json:"format"`
}

// loadReaders reads clientFile.
func loadReaders() ([]reader, error) {
	var readers []reader
	if err := json.Unmarshal(clientFile, &readers); err != nil {
		return nil, fmt.Errorf("api: clients.json: %w", err)
	}
	for _, r := range readers {
		if formats[r.Format] == nil || r.Agent == "" || r.Agent != strings.ToLower(r.Agent) {
			return nil, fmt.Errorf("api: clients.json: row %q: no such format, or an agent that is not lower case", r.Agent)
		}
	}
	return readers, nil
}

// formatFor returns the format that a client wants by name, or by its User-Agent when it names none; nil = there is no such.
func (a *API) formatFor(name, agent string) *format {
	if name != "" {
		return formats[name]
	}
	agent = strings.ToLower(agent)
	for _, r := range a.readers {
		if strings.Contains(agent, r.Agent) {
			return formats[r.Format]
		}
	}
	return formats[defaultFormat]
}

// bundleInput is the input of GET /sub/{token}.
type bundleInput struct{ format string }

func (b *bundleInput) read(in *input) { b.format = in.text("format", false) }

// bundle answers a subscription address with all keys of its device, in a format that the client reads. A user who may
// have none now gets one entry whose name says why, with status 200: clients show nothing of a refusal. What is no address
// is a path that does not exist.
func (a *API) bundle(x *exchange) error {
	h := x.w.Header()
	h["Cache-Control"] = noStore
	address, ok := vpn.ParseAddress(x.resource.value(x.r.URL.Path, "token"))
	if !ok {
		return errNoRoute
	}
	var in bundleInput
	if err := x.read(&in); err != nil {
		return err
	}
	format := a.formatFor(in.format, x.r.UserAgent())
	if format == nil {
		return &vpn.Error{Code: vpn.CodeValidationFailed, Field: "format", Rule: "in"}
	}
	b, err := a.service.Bundle(x.r.Context(), address)
	if vpn.CodeOf(err) == vpn.CodeNotFound {
		return errNoRoute
	}
	if err != nil {
		return err
	}
	if x.r.Header.Get("Accept-Language") == "" { // most clients name no language
		x.lang = locale.Lang(b.User.Locale)
	}
	body, err := format.write(x.subscribed(b, format))
	if err != nil {
		return err
	}
	x.describe(b, format)
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h["Etag"] = []string{tag}
	if matchesTag(x.r.Header["If-None-Match"], tag) {
		delete(h, "Content-Type")
		x.send(http.StatusNotModified, nil)
		return nil
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.send(http.StatusOK, body)
	return nil
}

// subscribed is a bundle as a format writes it.
func (x *exchange) subscribed(b *vpn.Bundle, f *format) *subscribed {
	s := &subscribed{}
	switch {
	case b.Refused != nil:
		x.mark(b.Refused.Code)
		s.Refusal, s.Code = x.message(b.Refused), string(b.Refused.Code)
		return s
	case len(b.Keys) == 0:
		x.mark(vpn.CodeServerOffline)
		s.Refusal, s.Code = x.api.texts.In(x.language(), "bundle.no_servers"), string(vpn.CodeServerOffline)
		return s
	}
	names := newNames()
	for i := range b.Keys {
		issued := &b.Keys[i]
		server := issued.Server
		if server.Offers(vpn.Shadowsocks) {
			e := issued.Shadowsocks()
			s.Endpoints = append(s.Endpoints, endpoint{
				Name: names.unique(e.Name), Protocol: vpn.Shadowsocks, Host: e.Host, Port: e.Port, Shadowsocks: e.Shadowsocks,
			})
		}
		if server.Offers(vpn.HTTPS) {
			k := issued.Key.Seed.HTTPS(server.Door)
			s.Endpoints = append(s.Endpoints, endpoint{
				Name: names.unique(server.Name + " · HTTPS"), Protocol: vpn.HTTPS, Host: server.Host, Port: server.HTTPSPort, HTTPS: k,
			})
		}
	}
	if !slices.ContainsFunc(s.Endpoints, f.reads) {
		x.mark(vpn.CodeProtocolUnavailable)
		s.Refusal, s.Code = x.api.texts.In(x.language(), "bundle.not_readable"), string(vpn.CodeProtocolUnavailable)
	}
	return s
}

// describe puts what clients show of a subscription into headers.
func (x *exchange) describe(b *vpn.Bundle, f *format) {
	h := x.w.Header()
	h["Content-Type"] = []string{f.contentType}
	// Traffic is counted in both directions together; clients add the two.
	info := "upload=0; download=" + strconv.FormatInt(b.Traffic.Used, 10) + "; total=" + strconv.FormatInt(b.Traffic.Limit, 10)
	if at := b.Entitlement.Subscription.ExpiresAt; !at.IsZero() {
		info += "; expire=" + strconv.FormatInt(at.Unix(), 10)
	}
	h["Subscription-Userinfo"] = []string{info}
	h["Profile-Update-Interval"] = []string{strconv.Itoa(updateHours)}
	title := hostOf(x.baseURL())
	h["Profile-Title"] = []string{"base64:" + base64.StdEncoding.EncodeToString([]byte(title))}
	file := strings.NewReplacer(":", "-", "/", "-").Replace(title) + f.extension
	h["Content-Disposition"] = []string{mime.FormatMediaType("attachment", map[string]string{"filename": file})}
	links := x.api.service.Settings(x.r.Context()).Links
	for name, link := range map[string]string{"Profile-Web-Page-Url": links.Account, "Support-Url": links.Support} {
		if link != "" {
			h[name] = []string{link}
		}
	}
}

// subscriptionURL is where other apps import the keys of a device of the actor's.
func (a *API) subscriptionURL(ctx context.Context, actor *vpn.Actor, deviceID int64, baseURL string) (*string, error) {
	_, address, err := a.service.Address(ctx, actor, deviceID)
	if err != nil {
		return nil, err
	}
	link := baseURL + "/sub/" + address.Reveal()
	return &link, nil
}
