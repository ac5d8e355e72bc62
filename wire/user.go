package wire

import "time"

// User is the answer of GET /api/user.
type User struct {
	ID              int64      `json:"id"`
	Name            string     `json:"name"`
	Email           string     `json:"email"`
	EmailVerifiedAt *time.Time `json:"email_verified_at"`
	// Status is active or blocked; more may come.
	Status string `json:"status"`
	// Locale is ru or en.
	Locale    string    `json:"locale"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// UserSummary is who a subscription belongs to.
type UserSummary struct {
	ID    int64  `json:"id"`
	Email string `json:"email"`
	Name  string `json:"name"`
}

// AppResponse is the answer of GET /api/userApp: a SubscriptionResponse whose user, device and devices are whole, and
// what only the app needs.
type AppResponse struct {
	User                User         `json:"user"`
	Subscription        Subscription `json:"subscription"`
	Access              Access       `json:"access"`
	Traffic             Traffic      `json:"traffic"`
	Devices             DeviceSlots  `json:"devices"`
	Device              *Device      `json:"device"` // null for an API token
	ServersRevision     string       `json:"servers_revision"`
	RecommendedServerID *int64       `json:"recommended_server_id"`
	Links               Links        `json:"links"`
	ServerTime          time.Time    `json:"server_time"`
	PollAfter           int          `json:"poll_after"` // seconds
	// Protocols are those that at least one server speaks.
	Protocols []string `json:"protocols"`
	App       App      `json:"app"`
	// SubscriptionURL is an address that other apps import keys from.
	SubscriptionURL *string `json:"subscription_url"`
}

// App tells the app of newer versions of itself; null where the operator says nothing.
type App struct {
	MinVersion    *string `json:"min_version"`
	LatestVersion *string `json:"latest_version"`
	UpdateURL     *string `json:"update_url"`
}
