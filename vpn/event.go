package vpn

import (
	"slices"
	"strings"
	"time"
)

// Events that time or traffic bring about; all others are the actions of audit entries.
const (
	EventWeekLeft   = "subscription.week_left"
	EventDayLeft    = "subscription.day_left"
	EventExpired    = "subscription.expired"
	EventTraffic80  = "subscription.traffic_80"
	EventTraffic100 = "subscription.traffic_100"
	EventOnline     = "node.online"
	EventOffline    = "node.offline"
	// EventTest is what an operator sends to see whether a webhook works. No pattern names it.
	EventTest = "webhook.test"
)

// eventNouns are those whose changes are told to others.
var eventNouns = []string{
	"user", "subscription", "payment", "voucher", "device", "node", "server", "plan",
}

// EventNouns are those whose changes are told to webhooks.
func EventNouns() []string { return slices.Clone(eventNouns) }

// nounOf is what stands before the dot.
func nounOf(event string) string {
	noun, _, _ := strings.Cut(event, ".")
	return noun
}

// IsEvent reports whether a change that is audited as this action is told to webhooks. Keys are not: they are made in
// thousands, and nobody but their node needs to know. Neither is a new hash of the same password, nor an import, whose
// entries are about many users each.
func IsEvent(action string) bool {
	return slices.Contains(eventNouns, nounOf(action)) && action != "user.rehash" && !strings.HasSuffix(action, ".import")
}

// IsWarning reports whether an event is about the safety of an account, so that its user must hear of it.
func IsWarning(event string) bool {
	switch event {
	case "user.second_factor_reset", "user.passkeys_reset", "user.passkey_add":
		return true
	}
	return false
}

// IsAboutUser reports whether the subject of an event is the user whom it concerns.
func IsAboutUser(event string) bool {
	switch nounOf(event) {
	case "user", "subscription", "payment":
		return true
	}
	return false
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 64

// isPattern reports whether a webhook can ask for events in this way: "user.add", "user.*" or "*".
func isPattern(p string) bool {
	if p == "*" {
		return true
	}
	noun, verb, found := strings.Cut(p, ".")
	if !found || len(p) > maxPattern || !slices.Contains(eventNouns, noun) || verb == "" {
		return false
	}
	return verb == "*" || strings.Trim(verb, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// Event is an event with what a receiver needs to act on it, as things are when it is sent.
type Event struct {
	Delivery Delivery
	// User is nil when the event concerns none, or one who is gone.
	User *User
	// Entitlement, Status and Traffic are those of User.
	Entitlement Entitlement
	Status      SubscriptionStatus
	Traffic     Traffic
	// Device is the subject of a device's event, while it is signed in.
	Device *Device
	// Server is the subject of a server's and a node's event, while it is there.
	Server *Server
	// Now is the instant all this holds for.
	Now time.Time
}

// IsStale reports that a notice is no longer true, such as that of an expiry which was moved since.
func (e *Event) IsStale() bool {
	if e.User == nil {
		return true
	}
	expiresAt := e.Entitlement.Subscription.ExpiresAt
	left := expiresAt.Sub(e.Now)
	reached := func(percent int) bool { return QuotaReached(e.Traffic.Used, e.Traffic.Limit, percent) }
	switch e.Delivery.Event {
	case EventWeekLeft:
		return expiresAt.IsZero() || left <= 0 || left > week
	case EventDayLeft:
		return expiresAt.IsZero() || left <= 0 || left > day
	case EventExpired:
		return expiresAt.IsZero() || left > 0
	case EventTraffic80:
		return !reached(80) || reached(100)
	case EventTraffic100:
		return !reached(100)
	}
	return false
}

const week = 7 * day

// QuotaReached reports whether traffic is at so many percent of a limit; never where there is none.
func QuotaReached(used, limit int64, percent int) bool {
	return limit > 0 && float64(used) >= float64(limit)*float64(percent)/100
}
