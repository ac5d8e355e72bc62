package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"stile/accesskey"
	"stile/internal/locale"
	"stile/vpn"
	"stile/wire"
)

// keyInput is the input of POST /api/key.
type keyInput struct {
	vpn.IssueKey
	lang    locale.Lang
	baseURL string
}

func (k *keyInput) read(in *input) {
	k.ServerID = in.integer("server_id", true)
	k.Device = in.device()
	k.Protocol = vpn.Protocol(in.text("protocol", false))
	k.Rotate = in.boolean("rotate")
	in.text("public_key", false) // no server speaks WireGuard yet; what is too long is refused all the same
	k.lang, k.baseURL = in.x.language(), in.x.baseURL()
}

// keyAnswer is a key, which nothing on the way may keep.
type keyAnswer struct{ *wire.IssuedKey }

func (k keyAnswer) send(x *exchange) {
	x.w.Header()["Cache-Control"] = noStore
	if err := x.sendJSON(http.StatusOK, k.IssuedKey); err != nil {
		x.refuse(err)
	}
}

// issueKey returns the access key of the device on a server.
func (a *API) issueKey(ctx context.Context, actor *vpn.Actor, in keyInput) (keyAnswer, error) {
	issued, err := a.service.IssueKey(ctx, actor, in.IssueKey)
	if err != nil {
		return keyAnswer{}, err
	}
	return keyAnswer{a.keyOf(issued, in.lang, in.baseURL)}, nil
}

// keyOf is an issued key as the API shows it.
func (a *API) keyOf(issued *vpn.IssuedKey, l locale.Lang, baseURL string) *wire.IssuedKey {
	key, server := &issued.Key, &issued.Server
	k := &wire.IssuedKey{
		KeyID: key.ID, ServerID: key.ServerID, DeviceID: key.DeviceID, Protocol: string(issued.Protocol), Ready: issued.IsReady,
		IssuedAt: wire.Seconds(key.CreatedAt), RefreshAt: wire.Seconds(issued.RefreshAt), ExpiresAt: wire.SecondsOrNull(key.NotAfter),
		Server: wire.KeyServer{
			ID: server.ID, Name: server.Name, CountryCode: server.CountryCode, City: server.City.In(string(l)), APIURL: server.PingURL,
		},
		Limits: wire.KeyLimits{SpeedMbps: orNull(issued.SpeedLimitMbps), TrafficLeftBytes: leftOf(&issued.Traffic)},
	}
	if server.Offers(vpn.Shadowsocks) {
		e := issued.Shadowsocks()
		k.Shadowsocks = &wire.ShadowsocksKey{
			Host: e.Host, Port: e.Port, Method: e.Method, Password: e.Password, Prefix: orNull(e.Prefix), UDP: true,
		}
		if !e.Is2022() { // Outline's clients could not use it
			address := dynamicAddress(baseURL, issued)
			k.DynamicKey = &address
		}
		k.Key = e.URI()
	}
	if server.Offers(vpn.HTTPS) {
		k.HTTPS = a.httpsOf(issued, baseURL)
		if issued.Protocol == vpn.HTTPS {
			k.Key = k.HTTPS.URI()
		}
	}
	return k
}

// dynamicAddress is where Outline's clients fetch a key: the scheme ssconf stands for https.
func dynamicAddress(baseURL string, issued *vpn.IssuedKey) string {
	_, place, _ := strings.Cut(baseURL, "://")
	return "ssconf://" + place + "/api/ssconf/" + strconv.FormatInt(issued.Key.ID, 10) + "/" + issued.Key.Seed.DynamicToken() +
		"#" + url.PathEscape(issued.Server.Name)
}

// baseURL is where clients reach the API: as configured, or as this one did.
func (x *exchange) baseURL() string {
	if x.api.config.PublicURL != "" {
		return x.api.config.PublicURL
	}
	return "http://" + x.r.Host
}

// dynamicKey returns a key as Outline's clients read it. They show a refusal only when it comes with status 200; a server
// whose method they do not speak is one.
func (a *API) dynamicKey(x *exchange) error {
	issued, err := a.service.DynamicKey(x.r.Context(), x.pathID(), x.resource.value(x.r.URL.Path, "token"))
	var e accesskey.ShadowsocksEndpoint
	if err == nil {
		if e = issued.Shadowsocks(); e.Is2022() {
			err = vpn.Refusal(vpn.CodeProtocolUnavailable)
		}
	}
	if refusal, ok := errors.AsType[*vpn.Error](err); ok {
		x.mark(refusal.Code)
		var r wire.DynamicKeyRefusal
		r.Error.Message, r.Error.Details = x.message(refusal), string(refusal.Code)
		return x.sendJSON(http.StatusOK, r)
	}
	if err != nil {
		return err
	}
	x.w.Header()["Cache-Control"] = noStore
	return x.sendJSON(http.StatusOK, wire.DynamicKey{
		Server: e.Host, ServerPort: e.Port, Password: e.Password, Method: e.Method, Prefix: e.Prefix,
	})
}
