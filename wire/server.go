package wire

import "time"

// ServersRequest is the input of POST /api/servers.
type ServersRequest struct {
	// DeviceID is our id of a device or what its client calls it; "" and "0" are the token's own.
	DeviceID string `json:"device_id,omitempty"`
}

// ServersResponse is the answer of POST and GET /api/servers, the best server first.
type ServersResponse struct {
	Data []Server    `json:"data"`
	Meta ServersMeta `json:"meta"`
}

// Server is a place to connect to.
type Server struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	// Country and City are names in the language asked for; City may be empty.
	Country     string  `json:"country"`
	CountryCode string  `json:"country_code"` // ISO 3166-1 alpha-2
	City        string  `json:"city"`
	Latitude    float64 `json:"latitude"`  // degrees, WGS 84
	Longitude   float64 `json:"longitude"` // degrees
	// APIURL is what a client times: GET or HEAD answers 204.
	APIURL string `json:"api_url"`
	// ActiveConnections counts devices with traffic in the last 180 seconds, at most 30 s old.
	ActiveConnections int     `json:"active_connections"`
	Capacity          int     `json:"capacity"`
	Load              int     `json:"load"`  // 0–100
	Score             float64 `json:"score"` // lower is better
	// Status is online, full or maintenance; more may come.
	Status string `json:"status"`
	// Accessible reports whether this account may use it now.
	Accessible bool `json:"accessible"`
	// LockedReason is the code of the refusal that /api/key would give.
	LockedReason *string  `json:"locked_reason"`
	Tier         int      `json:"tier"`
	Protocols    []string `json:"protocols"` // shadowsocks, https, wireguard; more may come
	// HasKey reports that this device has a key there.
	HasKey bool `json:"has_key"`
}

// ServersMeta is what holds for the whole list.
type ServersMeta struct {
	// Revision changes with topology and accessibility, not with load. GET /api/servers has it as its weak ETag.
	Revision            string     `json:"revision"`
	Count               int        `json:"count"`
	RecommendedServerID *int64     `json:"recommended_server_id"`
	LoadUpdatedAt       *time.Time `json:"load_updated_at"`
}

// ServerStatusResponse is the answer of GET /api/servers/status: the loads alone, in the order of the list.
type ServerStatusResponse struct {
	Data []ServerStatus `json:"data"`
	Meta ServersMeta    `json:"meta"`
}

// ServerStatus is the part of a Server that changes by the minute.
type ServerStatus struct {
	ID                int64   `json:"id"`
	ActiveConnections int     `json:"active_connections"`
	Load              int     `json:"load"`
	Score             float64 `json:"score"`
	Status            string  `json:"status"`
}
