package vpn

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// maxWebhooks bounds what one event can be sent to.
	maxWebhooks = 100
	// maxPatterns bounds what one webhook can ask for.
	maxPatterns = 50
	// maxURL bounds the address of a webhook, in bytes.
	maxURL = 2048
)

// Webhook is an address of somebody else's program that is told of events.
type Webhook struct {
	ID  int64
	URL string
	// Events are patterns: "user.add", "user.*" or "*".
	Events    []string
	IsActive  bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

// WebhookStore keeps webhooks, their secrets sealed.
type WebhookStore interface {
	// AddWebhook makes a webhook, unless there are limit already: ErrTaken.
	AddWebhook(ctx context.Context, w Webhook, secret string, limit int, a Audit) (Webhook, error)
	// Webhooks returns all webhooks in the order of their ids, without MailWebhook.
	Webhooks(ctx context.Context) ([]Webhook, error)
	// Webhook returns one with its secret, or ErrNotFound.
	Webhook(ctx context.Context, id int64) (Webhook, string, error)
	// SetWebhook replaces the values of a webhook by its id. ErrNotFound.
	SetWebhook(ctx context.Context, w Webhook, a Audit) error
	// RemoveWebhook deletes a webhook with its deliveries. ErrNotFound.
	RemoveWebhook(ctx context.Context, id int64, a Audit) error
	// TestWebhook puts an EventTest in line and returns its delivery. ErrNotFound.
	TestWebhook(ctx context.Context, id int64, a Audit) (Delivery, error)
	// Deliveries returns those of a webhook with an id below before (0 = the newest), the newest first, at most limit.
	Deliveries(ctx context.Context, webhookID, before int64, limit int) ([]Delivery, error)
	// Redeliver makes a delivery that has ended due again. ErrNotFound when there is none such.
	Redeliver(ctx context.Context, deliveryID int64, a Audit) error
}

// AddWebhook makes a webhook and returns its secret, which is shown once. CodeValidationFailed names the field, "webhooks"
// when there are too many.
func (s *Service) AddWebhook(ctx context.Context, a *Actor, address string, events []string) (w Webhook, secret string, err error) {
	if err := a.may(NounWebhooks, Write); err != nil {
		return Webhook{}, "", err
	}
	w = Webhook{URL: address, Events: events, IsActive: true}
	if err := checkWebhook(&w); err != nil {
		return Webhook{}, "", err
	}
	secret = "whsec_" + rand.Text() + rand.Text()
	w, err = s.store.AddWebhook(ctx, w, secret, maxWebhooks, a.audit("webhook.add", 0))
	if errors.Is(err, ErrTaken) {
		return Webhook{}, "", &Error{Code: CodeValidationFailed, Field: "webhooks", Rule: "max", Max: maxWebhooks}
	}
	if err != nil {
		return Webhook{}, "", err
	}
	return w, secret, nil
}

// checkWebhook brings the patterns in order and refuses what cannot be.
func checkWebhook(w *Webhook) error {
	u, err := url.Parse(w.URL)
	if err != nil || len(w.URL) > maxURL || u.Hostname() == "" || u.User != nil || u.Fragment != "" || (u.Scheme != "https" && u.Scheme != "http") {
		return invalid("url", "in")
	}
	events := make([]string, 0, len(w.Events))
	for _, p := range w.Events {
		p = strings.ToLower(strings.TrimSpace(p))
		if !isPattern(p) {
			return invalid("events", "in")
		}
		events = append(events, p)
	}
	slices.Sort(events)
	w.Events = slices.Compact(events)
	if len(w.Events) == 0 || len(w.Events) > maxPatterns {
		return invalid("events", "in")
	}
	return nil
}

// Webhooks returns all webhooks.
func (s *Service) Webhooks(ctx context.Context, a *Actor) ([]Webhook, error) {
	if err := a.may(NounWebhooks, Read); err != nil {
		return nil, err
	}
	return s.store.Webhooks(ctx)
}

// Webhook returns one webhook. CodeNotFound when there is none.
func (s *Service) Webhook(ctx context.Context, a *Actor, id int64) (Webhook, error) {
	if err := a.may(NounWebhooks, Read); err != nil {
		return Webhook{}, err
	}
	w, _, err := s.store.Webhook(ctx, id)
	return w, notFound(err)
}

// SetWebhook replaces a webhook's address, events and whether it is told of them. An inactive one misses what happens; what
// was in line before waits.
func (s *Service) SetWebhook(ctx context.Context, a *Actor, w Webhook) error {
	if err := a.may(NounWebhooks, Write); err != nil {
		return err
	}
	if err := checkWebhook(&w); err != nil {
		return err
	}
	return notFound(s.store.SetWebhook(ctx, w, a.audit("webhook.set", w.ID)))
}

// RemoveWebhook deletes a webhook and all that is on its way to it.
func (s *Service) RemoveWebhook(ctx context.Context, a *Actor, id int64) error {
	if err := a.may(NounWebhooks, Write); err != nil {
		return err
	}
	return notFound(s.store.RemoveWebhook(ctx, id, a.audit("webhook.remove", id)))
}

// TestWebhook sends a test event to a webhook, whatever it asks for. Deliveries tells what became of it.
func (s *Service) TestWebhook(ctx context.Context, a *Actor, id int64) (Delivery, error) {
	if err := a.may(NounWebhooks, Write); err != nil {
		return Delivery{}, err
	}
	d, err := s.store.TestWebhook(ctx, id, a.audit("webhook.test", id))
	return d, notFound(err)
}

// Deliveries returns what was sent to a webhook, or is about to be: entries older than before (an id, 0 = the newest), the
// newest first.
func (s *Service) Deliveries(ctx context.Context, a *Actor, webhookID, before int64, limit int) ([]Delivery, error) {
	if err := a.may(NounWebhooks, Read); err != nil {
		return nil, err
	}
	return s.store.Deliveries(ctx, webhookID, before, limit)
}

// Redeliver sends a delivery that has ended once more.
func (s *Service) Redeliver(ctx context.Context, a *Actor, deliveryID int64) error {
	if err := a.may(NounWebhooks, Write); err != nil {
		return err
	}
	return notFound(s.store.Redeliver(ctx, deliveryID, a.audit("webhook.redeliver", deliveryID)))
}
