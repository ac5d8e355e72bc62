package vpn

import (
	"context"
	"errors"
	"time"
)

// MailWebhook is the webhook that stands for the mail to users.
const MailWebhook = 0

// Delivery is one event on its way to one webhook. Its ID is the same at every attempt, so that a receiver can tell a
// repetition.
type Delivery struct {
	ID        int64
	WebhookID int64
	Event     string
	// UserID is whom the event concerns; 0 = nobody.
	UserID    int64
	SubjectID int64
	// At is when it happened.
	At time.Time
	// DueAt is the next attempt; zero when it has ended.
	DueAt time.Time
	// Attempts begun so far.
	Attempts int
	// Status is the HTTP or SMTP status that the last attempt got, 0 = none; Error says what was wrong with it.
	Status      int
	Error       string
	IsDelivered bool
	EndedAt     time.Time // zero = not yet
}

// DeliveryState is where a delivery stands.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryWaiting   DeliveryState = "waiting"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed" // given up
)

// State is where the delivery stands.
func (d *Delivery) State() DeliveryState {
	switch {
	case d.IsDelivered:
		return DeliveryDelivered
	case d.DueAt.IsZero():
		return DeliveryFailed
	default:
		return DeliveryWaiting
	}
}

// Attempt is what came of an attempt at a delivery.
type Attempt struct {
	DeliveryID int64
	// Number is Delivery.Attempts of the claim.
	Number int
	Status int
	Error  string
	// IsDelivered ends the delivery. Otherwise it is due again at RetryAt, or ends, given up, when that is zero.
	IsDelivered bool
	RetryAt     time.Time
}

// OutboxStore keeps what is to be sent. Deliveries are written by every change that is an event, in its transaction.
type OutboxStore interface {
	// DueWebhooks returns the active webhooks, MailWebhook among them, for which a delivery is due.
	DueWebhooks(ctx context.Context) ([]int64, error)
	// ClaimDeliveries begins an attempt at up to limit due deliveries of an active webhook. Nobody else gets them before
	// the lease is over.
	ClaimDeliveries(ctx context.Context, webhookID int64, lease time.Duration, limit int) ([]Delivery, error)
	// EndAttempts writes down what came of attempts. One that is not the delivery's last any more changes nothing.
	EndAttempts(ctx context.Context, attempts []Attempt) error
	// PruneDeliveries gives up deliveries that were put in line before staleAt, and deletes those that ended before oldAt;
	// some thousands at a time, and returns to how many that happened.
	PruneDeliveries(ctx context.Context, staleAt, oldAt time.Time) (int64, error)
	// SetMailing turns the mail to users on or off. Turned off, it keeps what is due.
	SetMailing(ctx context.Context, isOn bool) error
	// TellNode writes the event that a node is online, or no longer, iff the other was told last.
	TellNode(ctx context.Context, nodeID int64, isOnline bool) error
	// NodesTold returns the nodes of which it was told last that they are online.
	NodesTold(ctx context.Context) (map[int64]bool, error)
	// TellExpiries writes an event for the subscriptions whose expiries follow those that it was written for before, up to
	// until, and returns whether there may be more; some thousands at a time. Subscriptions that are shorter than least are
	// left out. The first call for an event only notes where to begin.
	TellExpiries(ctx context.Context, event string, until time.Time, least time.Duration) (more bool, err error)
	// WantsMail reports whether a user takes notices by mail.
	WantsMail(ctx context.Context, userID int64) (bool, error)
	// SetWantsMail changes that. ErrNotFound when there is no such user.
	SetWantsMail(ctx context.Context, userID int64, wants bool) error
	// MailToken is what proves, in a link, that its bearer got a user's mail.
	MailToken(userID int64) string
	// MailTokenUser returns the user of a MailToken, or ErrNotFound.
	MailTokenUser(token string) (int64, error)
}

// retryDelays are the pauses after the first, second, … failed attempt; together a little less than a day.
var retryDelays = []time.Duration{
	10 * time.Second, time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 9 * time.Hour,
}

// RetryAt is when a delivery is due again whose attempt of this number failed now; zero when it is given up.
func RetryAt(attempt int, now time.Time) time.Time {
	if attempt > len(retryDelays) {
		return time.Time{}
	}
	return now.Add(retryDelays[max(attempt, 1)-1])
}

const (
	// giveUpAfter ends what a webhook that takes nothing lets pile up.
	giveUpAfter = 25 * time.Hour
	// keepDeliveries is how long one can see what became of a delivery.
	keepDeliveries = 30 * day
)

// PruneDeliveries ends what waits too long and deletes what is old.
func (s *Service) PruneDeliveries(ctx context.Context) error {
	for {
		now := s.now()
		n, err := s.store.PruneDeliveries(ctx, now.Add(-giveUpAfter), now.Add(-keepDeliveries))
		if err != nil || n == 0 {
			return err
		}
	}
}

// Event reads what a receiver needs to know of a delivery.
func (s *Service) Event(ctx context.Context, d Delivery) (*Event, error) {
	e := &Event{Delivery: d, Now: s.now()}
	if d.UserID != 0 {
		u, entitlement, err := s.store.Standing(ctx, d.UserID)
		switch {
		case errors.Is(err, ErrNotFound):
		case err != nil:
			return nil, err
		default:
			e.User, e.Entitlement = &u, entitlement
			e.Status, e.Traffic = entitlement.Status(e.Now), traffic(&entitlement, e.Now)
		}
	}
	switch nounOf(d.Event) {
	case "device":
		devices, err := s.store.Devices(ctx, d.UserID)
		if err != nil {
			return nil, err
		}
		for i := range devices {
			if devices[i].ID == d.SubjectID {
				e.Device = &devices[i]
			}
		}
	case "server", "node":
		servers, err := s.store.Servers(ctx)
		if err != nil {
			return nil, err
		}
		for i := range servers {
			if servers[i].ID == d.SubjectID {
				e.Server = &servers[i]
			}
		}
	}
	return e, nil
}
