package accesskey

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// HTTPSEndpoint is what an https:// URI of a proxy holds.
type HTTPSEndpoint struct {
	Username string
	Password string
	// Host is a domain name or an IP address, IPv6 without brackets.
	Host string
	// Port is 1–65535.
	Port int
}

var errNotHTTPS = errors.New("accesskey: not an https:// URI with user and password")

// ParseHTTPS reads the URI of an HTTPS proxy, https://user:password@host:port; without a port it is 443. Errors never
// repeat the URI, which holds a secret; with an error the endpoint is zero.
func ParseHTTPS(uri string) (HTTPSEndpoint, error) {
	if len(uri) > maxURI {
		return HTTPSEndpoint{}, errNotHTTPS
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" || u.User == nil || strings.Trim(u.Path, "/") != "" {
		return HTTPSEndpoint{}, errNotHTTPS
	}
	password, _ := u.User.Password()
	e := HTTPSEndpoint{Username: u.User.Username(), Password: password, Host: u.Hostname(), Port: 443}
	if e.Username == "" || e.Password == "" || len(e.Username)+len(e.Password) > maxText || strings.Contains(e.Username, ":") {
		return HTTPSEndpoint{}, errNotHTTPS
	}
	if digits := u.Port(); digits != "" {
		port, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || port == 0 {
			return HTTPSEndpoint{}, errors.New("accesskey: https:// URI: bad port")
		}
		e.Port = int(port)
	}
	if !IsHost(e.Host) {
		return HTTPSEndpoint{}, errors.New("accesskey: https:// URI: bad host name")
	}
	return e, nil
}
