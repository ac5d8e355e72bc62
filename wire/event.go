package wire

import "time"

// Headers of a webhook's request, besides SignatureHeader. Both are in the body, too.
const (
	EventHeader    = "Stile-Event"
	DeliveryHeader = "Stile-Delivery"
)

// MaxEvent bounds the body of a webhook's request and what is read of its answer, in bytes.
const MaxEvent = 64 << 10

// Event is the body of a webhook's request. What it says of the user, the device and the server is how they were when it was
// sent, which may be later than At.
type Event struct {
	// ID is the same each time that this event is sent to this webhook.
	ID int64 `json:"id"`
	// Event is noun.verb: user.add, subscription.expired. More may come.
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	// UserID is whom it concerns; null = nobody.
	UserID *int64 `json:"user_id"`
	// SubjectID is the number of the noun.
	SubjectID int64 `json:"subject_id"`
	// User is null when there is none, or the account is gone.
	User         *EventUser         `json:"user"`
	Subscription *EventSubscription `json:"subscription"`
	// Device is null when the event is not about one, or it was signed out.
	Device *EventDevice `json:"device"`
	// Server is null when the event is not about one, or it was removed.
	Server *EventServer `json:"server"`
}

// EventUser is the account of a user.
type EventUser struct {
	ID     int64  `json:"id"`
	Email  string `json:"email"`
	Name   string `json:"name"`
	Status string `json:"status"` // active or blocked
	Locale string `json:"locale"` // ru or en
}

// EventSubscription is where the user's subscription stands.
type EventSubscription struct {
	// Status is none, trial, active, grace or expired; more may come.
	Status string `json:"status"`
	// Plan is the code of the plan, "" without one.
	Plan       string     `json:"plan"`
	ExpiresAt  *time.Time `json:"expires_at"`
	UsedBytes  int64      `json:"used_bytes"`
	LimitBytes *int64     `json:"limit_bytes"` // null = unlimited
	ResetsAt   *time.Time `json:"resets_at"`
}

// EventDevice is a signed-in device.
type EventDevice struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Platform string `json:"platform"`
}

// EventServer is a server.
type EventServer struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}
