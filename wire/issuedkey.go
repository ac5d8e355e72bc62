package wire

import (
	"net"
	"net/url"
	"strconv"
	"time"
)

// KeyRequest is the input of POST /api/key.
type KeyRequest struct {
	ServerID int64 `json:"server_id"`
	// DeviceID is as in ServersRequest.
	DeviceID string `json:"device_id,omitempty"`
	// Protocol is shadowsocks, https or wireguard; "" leaves it to the device's platform.
	Protocol string `json:"protocol,omitempty"`
	// Rotate ends the key there is and makes another.
	Rotate bool `json:"rotate,omitempty"`
	// PublicKey is the client's WireGuard key, 32 bytes in base64.
	PublicKey string `json:"public_key,omitempty"`
}

// IssuedKey is the answer of POST /api/key.
type IssuedKey struct {
	// Key is the one string that a minimal client uses as it is: ss://… or https://….
	Key      string `json:"key"`
	KeyID    int64  `json:"key_id"`
	ServerID int64  `json:"server_id"`
	DeviceID int64  `json:"device_id"`
	Protocol string `json:"protocol"`
	// Ready reports that the server has confirmed the key: it works now.
	Ready bool `json:"ready"`
	// DynamicKey is an ssconf:// address from which clients fetch the key; null where Shadowsocks is not offered.
	DynamicKey *string   `json:"dynamic_key"`
	IssuedAt   time.Time `json:"issued_at"`
	// RefreshAt is when the client should ask again.
	RefreshAt time.Time  `json:"refresh_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	Server    KeyServer  `json:"server"`
	// The objects of the protocols, null where the server or the plan has it not.
	Shadowsocks *ShadowsocksKey `json:"shadowsocks"`
	HTTPS       *HTTPSKey       `json:"https"`
	WireGuard   *WireGuardKey   `json:"wireguard"`
	Limits      KeyLimits       `json:"limits"`
}

// KeyServer is the server of a key, in short.
type KeyServer struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	CountryCode string `json:"country_code"`
	City        string `json:"city"`
	APIURL      string `json:"api_url"`
}

// ShadowsocksKey is a key for a Shadowsocks client.
type ShadowsocksKey struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Method   string `json:"method"`
	Password string `json:"password"`
	// Prefix is what the client puts first into its salts, each code point one byte.
	Prefix *string `json:"prefix"`
	UDP    bool    `json:"udp"`
}

// HTTPSKey is a key for an HTTP proxy behind TLS.
type HTTPSKey struct {
	Scheme   string   `json:"scheme"` // https
	Host     string   `json:"host"`
	Port     int      `json:"port"`
	Username string   `json:"username"`
	Password string   `json:"password"`
	Realm    string   `json:"realm"`
	Bypass   []string `json:"bypass"` // hosts and ranges that must not go through the proxy
	ProbeURL string   `json:"probe_url"`
}

// WireGuardKey is a key for a WireGuard client.
type WireGuardKey struct {
	Endpoint        string   `json:"endpoint"` // host:port
	ServerPublicKey string   `json:"server_public_key"`
	Addresses       []string `json:"addresses"`
	DNS             []string `json:"dns"`
	Config          string   `json:"config"` // the text of a wg-quick file
}

// KeyLimits are what a key may do; null = unlimited.
type KeyLimits struct {
	SpeedMbps        *int   `json:"speed_mbps"`
	TrafficLeftBytes *int64 `json:"traffic_left_bytes"`
}

// DynamicKey is the answer of an ssconf:// address: a key as Outline's clients read it.
type DynamicKey struct {
	Server     string `json:"server"`
	ServerPort int    `json:"server_port"`
	Password   string `json:"password"`
	Method     string `json:"method"`
	Prefix     string `json:"prefix,omitempty"`
}

// DynamicKeyRefusal is what an ssconf:// address answers, with status 200, when there is no key.
type DynamicKeyRefusal struct {
	Error struct {
		Message string `json:"message"`
		Details string `json:"details"`
	} `json:"error"`
}

// URI writes the key as the address of a proxy: https://user:password@host:port.
func (k *HTTPSKey) URI() string {
	u := url.URL{Scheme: k.Scheme, User: url.UserPassword(k.Username, k.Password), Host: net.JoinHostPort(k.Host, strconv.Itoa(k.Port))}
	return u.String()
}
