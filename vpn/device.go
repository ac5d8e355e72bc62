package vpn

import (
	"strings"
	"time"
)

// Device is one client of a user: an app on a phone, a browser with the extension, a command line.
type Device struct {
	ID       int64
	UserID   int64
	ClientID string // what the client calls itself, unique per user
	Name     string
	Platform Platform
	// LastSeenDay is the day of last activity, midnight UTC. Finer than a day is never kept.
	LastSeenDay time.Time
	CreatedAt   time.Time
}

// Platform is the kind of a device, derived at sign-in from what the client says of itself.
type Platform string

// The platforms. Chrome and Firefox are browser extensions.
const (
	PlatformIOS     Platform = "ios"
	PlatformAndroid Platform = "android"
	PlatformWindows Platform = "windows"
	PlatformMacOS   Platform = "macos"
	PlatformLinux   Platform = "linux"
	PlatformChrome  Platform = "chrome"
	PlatformFirefox Platform = "firefox"
	PlatformUnknown Platform = "unknown"
)

// IsExtension reports whether the device is a browser extension, which can only use the https protocol.
func (p Platform) IsExtension() bool { return p == PlatformChrome || p == PlatformFirefox }

// platformWords is searched in order: the first word found in the hints names the platform.
var platformWords = []struct { //nolint:gochecknoglobals // a table
	word     string
	platform Platform
}{
	{"moz-extension", PlatformFirefox}, {"chrome-extension", PlatformChrome},
	{"iphone", PlatformIOS}, {"ipad", PlatformIOS}, {"ios", PlatformIOS},
	{"android", PlatformAndroid}, {"pixel", PlatformAndroid}, {"galaxy", PlatformAndroid},
	{"firefox on", PlatformFirefox}, {"chrome on", PlatformChrome}, {"extension", PlatformChrome},
	{"windows", PlatformWindows}, {"macos", PlatformMacOS}, {"macbook", PlatformMacOS}, {"mac os", PlatformMacOS}, {"darwin", PlatformMacOS},
	{"linux", PlatformLinux}, {"ubuntu", PlatformLinux},
}

// PlatformOf derives a platform from hints, the strongest first: the Origin of a browser extension, the device's
// name, the User-Agent. The hints themselves are not kept.
func PlatformOf(hints ...string) Platform {
	for _, hint := range hints {
		hint = strings.ToLower(hint)
		for _, w := range platformWords {
			if strings.Contains(hint, w.word) {
				return w.platform
			}
		}
	}
	return PlatformUnknown
}

// DeviceRef is how a client names a device in a request: our numeric id, its own id, or nothing. The zero DeviceRef is
// the token's own device.
type DeviceRef string

// own reports whether the reference means the token's own device.
func (r DeviceRef) own() bool { return r == "" || r == "0" }
