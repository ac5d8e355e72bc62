package api

import (
	"bytes"

	"stile/vpn"
)

// clashProxy is an entry of "proxies" (Mihomo's documentation, "Outbound proxies": ss and http).
type clashProxy struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Server   string `json:"server"`
	Port     int    `json:"port"`
	Cipher   string `json:"cipher,omitempty"`
	Username string `json:"username,omitempty"`
	Password string `json:"password"`
	UDP      bool   `json:"udp,omitempty"`
	TLS      bool   `json:"tls,omitempty"`
	SNI      string `json:"sni,omitempty"`
}

// clashGroup is an entry of "proxy-groups".
type clashGroup struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Proxies  []string `json:"proxies"`
	URL      string   `json:"url,omitempty"`
	Interval int      `json:"interval,omitempty"` // seconds
}

const (
	// probeURL is what clients time through each endpoint.
	probeURL = "https://www.gstatic.com/generate_204"
	// probeEvery is how often, in seconds.
	probeEvery = 300
)

// clashHead is what a profile says besides the endpoints: names are resolved at the far end, private networks are left alone.
const clashHead = `mixed-port: 7890
mode: rule
dns:
  enable: true
  enhanced-mode: fake-ip
  nameserver:
    - "https://1.1.1.1/dns-query#` + groupName + `"
  proxy-server-nameserver:
    - system
`

// writeClash writes a profile of Clash and Mihomo. Lists hold JSON, which is YAML: nothing in a name can break out of it.
func writeClash(s *subscribed) ([]byte, error) {
	b := bytes.NewBufferString(clashHead)
	var proxies []any
	var all []string
	for _, e := range s.shown() {
		p := clashProxy{Name: e.Name, Server: e.Host, Port: e.Port}
		if e.Protocol == vpn.HTTPS {
			p.Type, p.Username, p.Password, p.TLS, p.SNI = "http", e.HTTPS.Username, e.HTTPS.Password, true, e.Host
		} else {
			p.Type, p.Cipher, p.Password, p.UDP = "ss", e.Shadowsocks.Method, e.Shadowsocks.Password, true
		}
		proxies, all = append(proxies, p), append(all, e.Name)
	}
	groups := []any{
		clashGroup{Name: groupName, Type: "select", Proxies: append([]string{autoName}, all...)},
		clashGroup{Name: autoName, Type: "url-test", Proxies: all, URL: probeURL, Interval: probeEvery},
	}
	rules := []any{}
	for _, network := range append([]string{"127.0.0.0/8"}, privateRanges...) {
		kind := "IP-CIDR"
		if bytes.IndexByte([]byte(network), ':') >= 0 {
			kind = "IP-CIDR6"
		}
		rules = append(rules, kind+","+network+",DIRECT,no-resolve")
	}
	rules = append(rules, "MATCH,"+groupName)
	for _, list := range []struct {
		name    string
		entries []any
	}{{"proxies", proxies}, {"proxy-groups", groups}, {"rules", rules}} {
		b.WriteString(list.name + ":\n")
		for _, entry := range list.entries {
			line, err := marshal(entry)
			if err != nil {
				return nil, err
			}
			b.WriteString("  - ")
			b.Write(line)
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}
