package api

import (
	"net/netip"

	"stile/vpn"
)

// object is a JSON object whose shape is the client's.
type object map[string]any

// writeSingBox writes a whole configuration of sing-box 1.12 and later: its apps take no less.
func writeSingBox(s *subscribed) ([]byte, error) {
	var all []string
	outbounds := []object{nil, nil}
	for _, e := range s.shown() {
		o := object{"tag": e.Name, "server": e.Host, "server_port": e.Port}
		if e.Protocol == vpn.HTTPS {
			o["type"], o["username"], o["password"] = "http", e.HTTPS.Username, e.HTTPS.Password
			o["tls"] = object{"enabled": true, "server_name": e.Host}
		} else {
			o["type"], o["method"], o["password"] = "shadowsocks", e.Shadowsocks.Method, e.Shadowsocks.Password
		}
		if _, err := netip.ParseAddr(e.Host); err != nil {
			o["domain_resolver"] = "local" // the name of a server is looked up outside of the tunnel
		}
		outbounds, all = append(outbounds, o), append(all, e.Name)
	}
	outbounds[0] = object{"type": "selector", "tag": groupName, "outbounds": append([]string{autoName}, all...), "default": autoName}
	outbounds[1] = object{"type": "urltest", "tag": autoName, "outbounds": all, "url": probeURL, "interval": "5m"}
	outbounds = append(outbounds, object{"type": "direct", "tag": "direct"})
	return marshal(object{
		"log": object{"level": "warn"},
		"dns": object{
			"servers": []object{
				{"type": "https", "tag": "remote", "server": "1.1.1.1", "detour": groupName},
				{"type": "local", "tag": "local"},
			},
			"final": "remote",
		},
		"inbounds": []object{{
			"type": "tun", "tag": "tun", "address": []string{"172.19.0.1/30", "fdfe:dcba:9876::1/126"}, "auto_route": true, "strict_route": true,
		}},
		"outbounds": outbounds,
		"route": object{
			"rules": []object{
				{"action": "sniff"},
				{"protocol": "dns", "action": "hijack-dns"},
				{"ip_is_private": true, "action": "route", "outbound": "direct"},
			},
			"final": groupName, "auto_detect_interface": true, "default_domain_resolver": "local",
		},
	})
}
