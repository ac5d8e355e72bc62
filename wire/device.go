package wire

import "time"

// Device is a signed-in device of the account.
type Device struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	// Platform is ios, android, windows, macos, linux, chrome, firefox or unknown; more may come.
	Platform string `json:"platform"`
	// Current marks the device that asks.
	Current   bool      `json:"current"`
	CreatedAt time.Time `json:"created_at"`
	// LastSeenAt is the midnight that began the day of last activity: nothing finer is kept.
	LastSeenAt *time.Time `json:"last_seen_at"`
}

// CurrentDevice is the device that asks, in short.
type CurrentDevice struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Current bool   `json:"current"`
}

// DeviceCount is how many devices are signed in, of how many that may be.
type DeviceCount struct {
	Used  int `json:"used"`
	Limit int `json:"limit"`
}

// DeviceSlots is a DeviceCount with the devices.
type DeviceSlots struct {
	Used  int      `json:"used"`
	Limit int      `json:"limit"`
	Data  []Device `json:"data"`
}

// DevicesResponse is the answer of GET /api/devices.
type DevicesResponse struct {
	Data []Device    `json:"data"`
	Meta DeviceCount `json:"meta"`
}
