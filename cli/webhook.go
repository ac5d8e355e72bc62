package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stile/vpn"
)

// WebhookCmd is `stile webhook`.
type WebhookCmd struct {
	Add        WebhookAddCmd        `cmd:"" help:"Tell an address of events; its secret is shown once."`
	List       WebhookListCmd       `cmd:"" help:"List webhooks."`
	Set        WebhookSetCmd        `cmd:"" help:"Change a webhook's address or events, or turn it off and on."`
	Test       WebhookTestCmd       `cmd:"" help:"Send a test event and wait for what comes of it."`
	Deliveries WebhookDeliveriesCmd `cmd:"" help:"Show what was sent to a webhook, the newest first; kept for 30 days."`
	Redeliver  WebhookRedeliverCmd  `cmd:"" help:"Send a delivery once more."`
	Remove     WebhookRemoveCmd     `cmd:"" help:"Delete a webhook and all that is on its way to it."`
}

// webhookRef names a webhook on the command line.
type webhookRef struct {
	databaseFlags
	ID int64 `arg:"" name:"id" help:"Number of the webhook, as 'stile webhook list' shows it."`
}

// unfound names the webhook that is not there.
func (r *webhookRef) unfound(err error) error {
	return unfound(err, "webhook "+id(r.ID), "webhook list")
}

type webhookRow struct {
	ID        int64     `json:"id"`
	URL       string    `json:"url"`
	Events    []string  `json:"events"`
	IsActive  bool      `json:"active"`
	CreatedAt time.Time `json:"created_at"`
	Secret    string    `json:"secret,omitempty"`
}

func webhookRowOf(w *vpn.Webhook) webhookRow {
	return webhookRow{ID: w.ID, URL: w.URL, Events: w.Events, IsActive: w.IsActive, CreatedAt: w.CreatedAt}
}

// WebhookAddCmd is `stile webhook add`.
type WebhookAddCmd struct {
	databaseFlags
	URL    string   `arg:"" help:"Where events are sent: https://… or http://…."`
	Events []string `required:"" help:"Which, such as user.*,subscription.*,device.sign_in; '*' is all."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// Run makes the webhook.
func (c *WebhookAddCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		w, secret, err := s.AddWebhook(ctx, shell, c.URL, c.Events)
		if err != nil {
			return err
		}
		if c.JSON {
			row := webhookRowOf(&w)
			row.Secret = secret
			return t.printJSON(row)
		}
		t.printf("Webhook %d made: %s for %s\nSecret: %s (shown once)\nNext: stile webhook test %d\n", w.ID, w.URL, strings.Join(w.Events, " "), secret, w.ID)
		return nil
	})
}

// WebhookListCmd is `stile webhook list`.
type WebhookListCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the webhooks.
func (c *WebhookListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		all, err := s.Webhooks(ctx, shell)
		if err != nil {
			return err
		}
		rows := make([]webhookRow, 0, len(all))
		cells := make([][]string, 0, len(all))
		for i := range all {
			w := &all[i]
			rows = append(rows, webhookRowOf(w))
			state := "active"
			if !w.IsActive {
				state = "off"
			}
			cells = append(cells, []string{id(w.ID), state, strings.Join(w.Events, " "), w.URL})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"NO", "STATE", "EVENTS", "URL"}, cells)
		return nil
	})
}

// WebhookSetCmd is `stile webhook set`.
type WebhookSetCmd struct {
	webhookRef
	URL    *string  `help:"Another address."`
	Events []string `help:"Other events."`
	Off    bool     `xor:"state" help:"Tell it nothing; what was in line waits."`
	On     bool     `xor:"state" help:"Tell it events again."`
}

// Run changes the webhook.
func (c *WebhookSetCmd) Run(ctx context.Context, t *Terminal) error {
	if c.URL == nil && c.Events == nil && !c.Off && !c.On {
		return errNothing
	}
	return c.use(ctx, func(s *vpn.Service) error {
		w, err := s.Webhook(ctx, shell, c.ID)
		if err != nil {
			return c.unfound(err)
		}
		setFrom(&w.URL, c.URL)
		if c.Events != nil {
			w.Events = c.Events
		}
		w.IsActive = (w.IsActive || c.On) && !c.Off
		if err := s.SetWebhook(ctx, shell, w); err != nil {
			return err
		}
		t.printf("Webhook %d saved.\n", w.ID)
		return nil
	})
}

// WebhookRemoveCmd is `stile webhook remove`.
type WebhookRemoveCmd struct{ webhookRef }

// Run deletes the webhook.
func (c *WebhookRemoveCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if err := s.RemoveWebhook(ctx, shell, c.ID); err != nil {
			return c.unfound(err)
		}
		t.printf("Webhook %d is deleted.\n", c.ID)
		return nil
	})
}

// WebhookTestCmd is `stile webhook test`.
type WebhookTestCmd struct {
	webhookRef
	Wait time.Duration `range:"0s..1h" default:"20s" help:"How long to wait for the running service to send it."`
}

// Run puts a test event in line, which the running service sends.
func (c *WebhookTestCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		sent, err := s.TestWebhook(ctx, shell, c.ID)
		if err != nil {
			return c.unfound(err)
		}
		for until := time.Now().Add(c.Wait); ; {
			list, err := s.Deliveries(ctx, shell, c.ID, sent.ID+1, 1)
			switch {
			case err != nil:
				return err
			case len(list) == 0 || list[0].ID != sent.ID:
				return errors.New("the webhook was removed")
			case list[0].IsDelivered:
				t.printf("Delivered: status %d\n", list[0].Status)
				return nil
			case list[0].Error != "":
				return fmt.Errorf("not delivered: %s", list[0].Error)
			case time.Now().After(until):
				return fmt.Errorf("delivery %d is in line; is `stile serve` running, and the webhook on?", sent.ID)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

// WebhookDeliveriesCmd is `stile webhook deliveries`.
type WebhookDeliveriesCmd struct {
	webhookRef
	Before int64 `help:"Only those with a smaller number."`
	Limit  int   `range:"1..1000" default:"50" help:"At most this many, up to 1000."`
	JSON   bool  `name:"json" help:"Print JSON."`
}

type deliveryRow struct {
	ID        int64      `json:"id"`
	Event     string     `json:"event"`
	At        time.Time  `json:"at"`
	UserID    int64      `json:"user_id"`
	SubjectID int64      `json:"subject_id"`
	State     string     `json:"state"` // waiting, delivered or failed
	Attempts  int        `json:"attempts"`
	Status    int        `json:"status"`
	Error     string     `json:"error"`
	DueAt     *time.Time `json:"due_at"`
}

func deliveryRowOf(d *vpn.Delivery) deliveryRow {
	row := deliveryRow{
		ID: d.ID, Event: d.Event, At: d.At, UserID: d.UserID, SubjectID: d.SubjectID, State: string(d.State()), Attempts: d.Attempts,
		Status: d.Status, Error: d.Error,
	}
	if d.State() == vpn.DeliveryWaiting {
		row.DueAt = &d.DueAt
	}
	return row
}

// Run lists the deliveries.
func (c *WebhookDeliveriesCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if _, err := s.Webhook(ctx, shell, c.ID); err != nil {
			return c.unfound(err)
		}
		list, err := s.Deliveries(ctx, shell, c.ID, c.Before, c.Limit)
		if err != nil {
			return err
		}
		rows := make([]deliveryRow, 0, len(list))
		cells := make([][]string, 0, len(list))
		for i := range list {
			row := deliveryRowOf(&list[i])
			rows = append(rows, row)
			next := ""
			if row.DueAt != nil {
				next = row.DueAt.Format(time.RFC3339)
			}
			cells = append(cells, []string{id(row.ID), row.At.Format(time.RFC3339), row.Event, id(row.SubjectID), row.State, fmt.Sprint(row.Attempts), next, row.Error})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"NO", "AT", "EVENT", "NUMBER", "STATE", "TRIES", "NEXT", "ERROR"}, cells)
		return nil
	})
}

// WebhookRedeliverCmd is `stile webhook redeliver`.
type WebhookRedeliverCmd struct {
	databaseFlags
	Delivery int64 `arg:"" help:"Number of a delivery that has ended, as 'stile webhook deliveries' shows it."`
}

// Run puts the delivery in line again.
func (c *WebhookRedeliverCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if err := s.Redeliver(ctx, shell, c.Delivery); err != nil {
			return unfound(err, "delivery "+id(c.Delivery)+" that has ended", "webhook deliveries")
		}
		t.printf("Delivery %d is in line.\n", c.Delivery)
		return nil
	})
}
