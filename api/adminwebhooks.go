package api

import (
	"context"
	"encoding/json"

	"stile/vpn"
	"stile/wire"
)

// webhookInput is the input of POST /api/admin/webhooks and PUT /api/admin/webhooks/{id}: all values of a webhook.
type webhookInput struct {
	vpn.Webhook
}

func (w *webhookInput) read(in *input) {
	w.ID, w.IsActive = in.x.pathID(), true
	if v := in.field("url", true); v.kind != kindAbsent {
		w.URL = in.checked("url", v, maxWebhookURL)
	}
	switch v := in.field("events", true); {
	case v.kind == kindAbsent:
	case v.kind != kindOther || json.Unmarshal([]byte(v.text), &w.Events) != nil:
		in.fault("events", "in", 0)
	}
	if in.isGiven("is_active") {
		w.IsActive = in.boolean("is_active")
	}
}

// maxWebhookURL is how long the address of a webhook may be, in characters.
const maxWebhookURL = 2048

func adminWebhookOf(w *vpn.Webhook) *wire.AdminWebhook {
	return &wire.AdminWebhook{ID: w.ID, URL: w.URL, Events: w.Events, IsActive: w.IsActive, CreatedAt: wire.Seconds(w.CreatedAt)}
}

// webhooks returns all webhooks.
func (a *API) webhooks(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.Page[*wire.AdminWebhook, int64], error) {
	all, err := a.service.Webhooks(ctx, actor)
	if err != nil {
		return nil, err
	}
	return &wire.Page[*wire.AdminWebhook, int64]{Data: eachOf(all, adminWebhookOf)}, nil
}

// addWebhook makes a webhook; its secret is in this answer alone.
func (a *API) addWebhook(ctx context.Context, actor *vpn.Actor, in webhookInput) (*wire.AdminWebhook, error) {
	w, secret, err := a.service.AddWebhook(ctx, actor, in.URL, in.Events)
	if err != nil {
		return nil, err
	}
	out := adminWebhookOf(&w)
	out.Secret = secret
	return out, nil
}

// webhook returns one webhook.
func (a *API) webhook(ctx context.Context, actor *vpn.Actor, in named) (*wire.AdminWebhook, error) {
	w, err := a.service.Webhook(ctx, actor, in.id)
	if err != nil {
		return nil, err
	}
	return adminWebhookOf(&w), nil
}

// setWebhook replaces a webhook's values.
func (a *API) setWebhook(ctx context.Context, actor *vpn.Actor, in webhookInput) (*wire.AdminWebhook, error) {
	if err := a.service.SetWebhook(ctx, actor, in.Webhook); err != nil {
		return nil, err
	}
	return a.webhook(ctx, actor, named{in.ID})
}

// removeWebhook deletes a webhook and all that is on its way to it.
func (a *API) removeWebhook(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.RemoveWebhook(ctx, actor, in.id)
}

// testWebhook puts a test event in line.
func (a *API) testWebhook(ctx context.Context, actor *vpn.Actor, in named) (*wire.AdminDelivery, error) {
	d, err := a.service.TestWebhook(ctx, actor, in.id)
	if err != nil {
		return nil, err
	}
	return adminDeliveryOf(&d), nil
}

func adminDeliveryOf(d *vpn.Delivery) *wire.AdminDelivery {
	return &wire.AdminDelivery{
		ID: d.ID, WebhookID: d.WebhookID, Event: d.Event, UserID: d.UserID, SubjectID: d.SubjectID, State: string(d.State()), At: wire.Seconds(d.At),
		Attempts: d.Attempts, DueAt: wire.SecondsOrNull(d.DueAt), EndedAt: wire.SecondsOrNull(d.EndedAt), Status: d.Status, Error: orNull(d.Error),
	}
}

// deliveriesInput is the input of GET /api/admin/webhooks/{id}/deliveries.
type deliveriesInput struct {
	named
	backInput
}

func (d *deliveriesInput) read(in *input) {
	d.named.read(in)
	d.backInput.read(in)
}

// deliveries returns what was sent to a webhook, the newest first.
func (a *API) deliveries(ctx context.Context, actor *vpn.Actor, in deliveriesInput) (*wire.Page[*wire.AdminDelivery, int64], error) {
	if _, err := a.service.Webhook(ctx, actor, in.id); err != nil {
		return nil, err
	}
	all, err := a.service.Deliveries(ctx, actor, in.id, in.before, in.limit+1)
	return pageOf(all, in.limit, adminDeliveryOf, func(d *vpn.Delivery) int64 { return d.ID }), err
}

// redeliver sends a delivery that has ended once more.
func (a *API) redeliver(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.Redeliver(ctx, actor, in.id)
}
