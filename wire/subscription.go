package wire

import "time"

// SubscriptionResponse is the answer of GET /api/subscription: all that the extension's popup shows.
type SubscriptionResponse struct {
	User                UserSummary    `json:"user"`
	Subscription        Subscription   `json:"subscription"`
	Access              Access         `json:"access"`
	Traffic             Traffic        `json:"traffic"`
	Devices             DeviceCount    `json:"devices"`
	Device              *CurrentDevice `json:"device"`           // null for an API token
	ServersRevision     string         `json:"servers_revision"` // as in ServersMeta
	RecommendedServerID *int64         `json:"recommended_server_id"`
	Links               Links          `json:"links"`
	ServerTime          time.Time      `json:"server_time"`
	// PollAfter is in how many seconds the client should ask again.
	PollAfter int `json:"poll_after"`
}

// Subscription is where a subscription stands.
type Subscription struct {
	// Status is none, trial, active, grace or expired; more may come.
	Status    string     `json:"status"`
	Plan      *Plan      `json:"plan"`
	StartsAt  *time.Time `json:"starts_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	// DaysLeft is rounded up and never negative; null when nothing expires.
	DaysLeft *int `json:"days_left"`
	// ExpiresIn is in seconds and never negative; null when nothing expires.
	ExpiresIn *int64 `json:"expires_in"`
	IsTrial   bool   `json:"is_trial"`
}

// Plan is what was bought. Its name is in the language asked for.
type Plan struct {
	Code string `json:"code"`
	Name string `json:"name"`
	Tier int    `json:"tier"`
}

// Access says whether the account may have keys now: the only field that a client must test.
type Access struct {
	Allowed bool `json:"allowed"`
	// Reason is the code of the refusal that /api/key would give.
	Reason *string `json:"reason"`
	// Message says the same to a person.
	Message *string `json:"message"`
}

// Traffic is the running period's use in bytes.
type Traffic struct {
	UsedBytes      int64      `json:"used_bytes"`
	LimitBytes     *int64     `json:"limit_bytes"`
	LeftBytes      *int64     `json:"left_bytes"`
	ResetsAt       *time.Time `json:"resets_at"`
	SpeedLimitMbps *int       `json:"speed_limit_mbps"`
}

// Links are pages to send people to.
type Links struct {
	Account *string `json:"account"`
	Renew   *string `json:"renew"`
	Support *string `json:"support"`
}
