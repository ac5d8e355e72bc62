package vpn

import (
	"time"

	"stile/accesskey"
)

// Protocol is a way to carry traffic, as the API names it.
type Protocol string

// The protocols.
const (
	Shadowsocks Protocol = "shadowsocks"
	HTTPS       Protocol = "https"
)

// ServerState is what an operator wants of a server.
type ServerState string

// The states. A drained server leaves the list and keeps its sessions; a deleted one has lost its keys.
const (
	ServerActive      ServerState = "active"
	ServerMaintenance ServerState = "maintenance"
	ServerDrained     ServerState = "drained"
)

// Server is a place to connect to. Its node, the agent that carries the traffic, has the same id.
type Server struct {
	ID          int64
	Name        string
	CountryCode string // ISO 3166-1 alpha-2, upper case; UnknownCountry when nobody said
	City        Text
	Latitude    float64 // degrees, WGS 84
	Longitude   float64
	// Host is the public name or address that keys point to.
	Host string
	// PingURL is what clients time; never a management address.
	PingURL string
	// Tier is the lowest plan tier that may use the server.
	Tier int
	// Capacity is the number of active devices the server is meant for.
	Capacity  int
	State     ServerState
	Protocols []Protocol
	// ShadowsocksPort is the first of ShadowsocksPorts consecutive ports; a key uses one of them.
	ShadowsocksPort  int
	ShadowsocksPorts int
	// ShadowsocksMethod is one of accesskey.Methods; "" stands for AES-256-GCM when a server is saved.
	ShadowsocksMethod string
	// HTTPSPort is where the HTTPS proxy listens; 0 = there is none.
	HTTPSPort int
	// Door is what the server's planes know issued credentials by. It follows from the service's secret and the ID.
	Door      accesskey.Door
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Offers reports whether the server speaks a protocol.
func (s *Server) Offers(p Protocol) bool {
	for _, q := range s.Protocols {
		if p == q {
			return true
		}
	}
	return false
}

// ServerStatus is what a client sees of a server's state.
type ServerStatus string

// The statuses. Offline servers and drained ones are not in the list.
const (
	StatusOnline      ServerStatus = "online"
	StatusFull        ServerStatus = "full"
	StatusMaintenance ServerStatus = "maintenance"
	StatusOffline     ServerStatus = "offline"
)
