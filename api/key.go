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
		credential, port := key.Seed.Shadowsocks(), shadowsocksPort(issued)
		k.Shadowsocks = &wire.ShadowsocksKey{
			Host: server.Host, Port: port, Method: credential.Method, Password: credential.Password, Prefix: orNull(credential.Prefix), UDP: true,
		}
		address := dynamicAddress(baseURL, issued)
		k.DynamicKey = &address
		k.Key = credential.URI(server.Host, port, server.Name)
	}
	if server.Offers(vpn.HTTPS) {
		k.HTTPS = a.httpsOf(issued, baseURL)
		if issued.Protocol == vpn.HTTPS {
			k.Key = k.HTTPS.URI()
		}
	}
	return k
}

// shadowsocksPort is the port that a key uses on its server.
func shadowsocksPort(issued *vpn.IssuedKey) int {
	return accesskey.Port(issued.Server.ShadowsocksPort, issued.Server.ShadowsocksPorts, issued.Key.ID)
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

// dynamicKey returns a key as Outline's clients read it. They show a refusal only when it comes with status 200.
func (a *API) dynamicKey(x *exchange) error {
	issued, err := a.service.DynamicKey(x.r.Context(), x.pathID(), x.resource.value(x.r.URL.Path, "token"))
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
	credential := issued.Key.Seed.Shadowsocks()
	return x.sendJSON(http.StatusOK, wire.DynamicKey{
		Server: issued.Server.Host, ServerPort: shadowsocksPort(issued), Password: credential.Password, Method: credential.Method,
		Prefix: credential.Prefix,
	})
}
