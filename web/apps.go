package web

import (
	"html/template"
	"net/url"

	"stile/accesskey"
	"stile/vpn"
)

// app is a client that others wrote, which reads keys of ours.
type app struct {
	Name string
	// Home is where it is to be had.
	Home string
	// Open is the link that hands the key to the app; "" where the key is pasted.
	Open template.URL

	platforms []vpn.Platform
	// no2022: it does not read keys of Shadowsocks 2022.
	no2022 bool
	// scheme stands before the escaped key in Open; "" = the key itself is the link.
	scheme string
}

// apps are known to read ss:// keys and to open from a link.
var apps = []app{
	{Name: "Outline", Home: "https://getoutline.org/get-started/", platforms: platforms, no2022: true},
	{Name: "Hiddify", Home: "https://hiddify.com/", platforms: platforms, scheme: "hiddify://import/"},
	{Name: "Shadowsocks", Home: "https://github.com/shadowsocks/shadowsocks-android", platforms: []vpn.Platform{vpn.PlatformAndroid}},
	{Name: "v2rayNG", Home: "https://github.com/2dust/v2rayNG", platforms: []vpn.Platform{vpn.PlatformAndroid}, scheme: "v2rayng://install-config?url="},
	{Name: "Streisand", Home: "https://apps.apple.com/app/streisand/id6450534064", platforms: []vpn.Platform{vpn.PlatformIOS, vpn.PlatformMacOS}, scheme: "streisand://import/"},
}

// appsFor are the apps for a platform that read a key, each with the link that opens it with the key. All are offered for a
// platform that is not known.
func appsFor(p vpn.Platform, e accesskey.ShadowsocksEndpoint) []app {
	var fitting []app
	key := e.URI()
	for _, a := range apps {
		if a.no2022 && e.Is2022() {
			continue
		}
		fits := p == vpn.PlatformUnknown || p.IsExtension()
		for _, q := range a.platforms {
			fits = fits || p == q
		}
		if !fits {
			continue
		}
		a.Open = template.URL(key) //nolint:gosec // made by accesskey, which escapes
		if a.scheme != "" {
			a.Open = template.URL(a.scheme + url.QueryEscape(key)) //nolint:gosec // escaped here
		}
		fitting = append(fitting, a)
	}
	return fitting
}
