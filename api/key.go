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

// keyAnswer is a key, which nothing on the way may keep. It writes itself: reflection takes longer than finding the key.
type keyAnswer struct {
	*vpn.IssuedKey
	api *API
	in  *keyInput
}

func (k keyAnswer) send(x *exchange) {
	x.w.Header()["Cache-Control"] = noStore
	x.body = k.append(x.body[:0])
	x.send(http.StatusOK, x.body)
}

// issueKey returns the access key of the device on a server.
func (a *API) issueKey(ctx context.Context, actor *vpn.Actor, in keyInput) (keyAnswer, error) {
	issued, err := a.service.IssueKey(ctx, actor, in.IssueKey)
	return keyAnswer{issued, a, &in}, err
}

// append writes what wire.IssuedKey would.
func (k keyAnswer) append(b []byte) []byte {
	key, server := &k.Key, k.Server
	hasShadowsocks := server.Offers(vpn.Shadowsocks)
	var shadowsocks accesskey.ShadowsocksEndpoint
	if hasShadowsocks {
		shadowsocks = k.Shadowsocks()
	}
	var https *wire.HTTPSKey
	if server.Offers(vpn.HTTPS) {
		https = k.api.httpsOf(k.IssuedKey, k.in.baseURL)
	}
	b = append(b, `{"key":"`...)
	from := len(b)
	switch {
	case https != nil && k.Protocol == vpn.HTTPS:
		b = append(b, https.URI()...)
	case hasShadowsocks:
		b = shadowsocks.AppendURI(b)
	}
	b = closeString(b, from)
	b = strconv.AppendInt(append(b, `,"key_id":`...), key.ID, 10)
	b = strconv.AppendInt(append(b, `,"server_id":`...), key.ServerID, 10)
	b = strconv.AppendInt(append(b, `,"device_id":`...), key.DeviceID, 10)
	b = appendString(append(b, `,"protocol":`...), string(k.Protocol))
	b = strconv.AppendBool(append(b, `,"ready":`...), k.IsReady)
	b = append(b, `,"dynamic_key":`...)
	if hasShadowsocks && !shadowsocks.Is2022() { // Outline's clients could not use that
		b = appendDynamicAddress(b, k.in.baseURL, k.IssuedKey)
	} else {
		b = append(b, null...)
	}
	b = appendTime(append(b, `,"issued_at":`...), key.CreatedAt)
	b = appendTime(append(b, `,"refresh_at":`...), k.RefreshAt)
	b = appendTime(append(b, `,"expires_at":`...), key.NotAfter)
	b = appendKeyServer(append(b, `,"server":`...), server, k.in.lang)
	b = append(b, `,"shadowsocks":`...)
	if hasShadowsocks {
		b = appendShadowsocks(b, &shadowsocks)
	} else {
		b = append(b, null...)
	}
	b = append(b, `,"https":`...)
	if https != nil {
		b = appendHTTPS(b, https)
	} else {
		b = append(b, null...)
	}
	b = append(b, `,"wireguard":null,"limits":{"speed_mbps":`...)
	b = appendOrNull(b, int64(k.SpeedLimitMbps))
	b = append(b, `,"traffic_left_bytes":`...)
	if left := leftOf(&k.Traffic); left != nil {
		b = strconv.AppendInt(b, *left, 10)
	} else {
		b = append(b, null...)
	}
	return append(b, "}}"...)
}

const null = "null"

// appendOrNull writes a number, null for 0.
func appendOrNull(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, null...)
	}
	return strconv.AppendInt(b, n, 10)
}

// appendKeyServer writes what wire.KeyServer would.
func appendKeyServer(b []byte, server *vpn.ListedServer, l locale.Lang) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), server.ID, 10)
	b = appendString(append(b, `,"name":`...), server.Name)
	b = appendString(append(b, `,"country_code":`...), server.CountryCode)
	b = appendString(append(b, `,"city":`...), server.City.In(string(l)))
	b = appendString(append(b, `,"api_url":`...), server.PingURL)
	return append(b, '}')
}

// appendShadowsocks writes what wire.ShadowsocksKey would.
func appendShadowsocks(b []byte, e *accesskey.ShadowsocksEndpoint) []byte {
	b = appendString(append(b, `{"host":`...), e.Host)
	b = strconv.AppendInt(append(b, `,"port":`...), int64(e.Port), 10)
	b = appendString(append(b, `,"method":`...), e.Method)
	b = appendString(append(b, `,"password":`...), e.Password)
	b = append(b, `,"prefix":`...)
	if e.Prefix != "" {
		b = appendString(b, e.Prefix)
	} else {
		b = append(b, null...)
	}
	return append(b, `,"udp":true}`...)
}

// appendHTTPS writes a wire.HTTPSKey.
func appendHTTPS(b []byte, k *wire.HTTPSKey) []byte {
	b = appendString(append(b, `{"scheme":`...), k.Scheme)
	b = appendString(append(b, `,"host":`...), k.Host)
	b = strconv.AppendInt(append(b, `,"port":`...), int64(k.Port), 10)
	b = appendString(append(b, `,"username":`...), k.Username)
	b = appendString(append(b, `,"password":`...), k.Password)
	b = appendString(append(b, `,"realm":`...), k.Realm)
	b = append(b, `,"bypass":[`...)
	for i, host := range k.Bypass {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, host)
	}
	b = appendString(append(b, `],"probe_url":`...), k.ProbeURL)
	return append(b, '}')
}

// appendDynamicAddress writes, as a JSON string, where Outline's clients fetch a key: the scheme ssconf stands for https.
func appendDynamicAddress(b []byte, baseURL string, issued *vpn.IssuedKey) []byte {
	_, place, _ := strings.Cut(baseURL, "://")
	b = append(b, '"')
	from := len(b)
	b = append(append(append(b, "ssconf://"...), place...), "/api/ssconf/"...)
	b = strconv.AppendInt(b, issued.Key.ID, 10)
	b = append(append(b, '/'), issued.Key.Seed.DynamicToken()...)
	b = append(append(b, '#'), url.PathEscape(issued.Server.Name)...)
	return closeString(b, from)
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
