package vpn_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

// told lists the events in a webhook's line, the oldest first.
func (b *bench) told(webhookID int64) (events []string) {
	b.t.Helper()
	list, err := b.Deliveries(b.t.Context(), shell, webhookID, 0, 1000)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range slices.Backward(list) {
		events = append(events, d.Event)
	}
	return events
}

func (b *bench) webhook(events ...string) vpn.Webhook {
	b.t.Helper()
	w, secret, err := b.AddWebhook(b.t.Context(), shell, "https://example.com/hook", events)
	if err != nil || len(secret) < 40 {
		b.t.Fatalf("secret of %d characters, %v", len(secret), err)
	}
	return w
}

// A node that comes is told at once, one that goes after 45 seconds, and one that flaps not at all.
func TestNodeEventsDoNotFlap(t *testing.T) {
	b := setup(t)
	hook := b.webhook("node.*")
	look := func(isOnline bool, after time.Duration, want ...string) {
		t.Helper()
		b.now = b.now.Add(after)
		b.nodes.live[1] = vpn.NodeLive{IsOnline: isOnline}
		if err := b.NoticeNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.told(hook.ID); !slices.Equal(got, want) {
			t.Errorf("told %v, want %v", got, want)
		}
	}
	look(false, time.Second)
	look(false, time.Hour) // it never came, so it did not go
	look(true, time.Second, "node.online")
	for range 10 {
		look(false, time.Second, "node.online")
		look(false, 44*time.Second, "node.online")
		look(true, time.Second, "node.online")
	}
	look(false, time.Second, "node.online")
	look(false, 45*time.Second, "node.online", "node.offline")
	look(false, time.Hour, "node.online", "node.offline")
	// A new process waits, too, before it believes that a node is away.
	look(true, time.Second, "node.online", "node.offline", "node.online")
	second := vpn.NewService(b.store, b.nodes, plainPasswords{}, vpn.Config{Now: b.clock})
	b.nodes.live[1] = vpn.NodeLive{}
	if err := second.NoticeNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.told(hook.ID); len(got) != 3 {
		t.Errorf("told %v", got)
	}
}

func TestWebhookInput(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	for _, c := range []struct {
		url, field string
		events     []string
	}{
		{"", "url", []string{"*"}},
		{"example.com/hook", "url", []string{"*"}},
		{"ftp://example.com/hook", "url", []string{"*"}},
		{"https:///hook", "url", []string{"*"}},
		{"https://user:password@example.com/", "url", []string{"*"}},
		{"https://example.com/#part", "url", []string{"*"}},
		{"https://example.com/" + strings.Repeat("a", 2029), "url", []string{"*"}},
		{"https://example.com/", "events", nil},
		{"https://example.com/", "events", []string{"key.issue"}},
		{"https://example.com/", "events", []string{"user"}},
		{"https://example.com/", "events", []string{"user."}},
		{"https://example.com/", "events", []string{"user.*x"}},
		{"https://example.com/", "events", []string{"user.Ж"}},
		{"https://example.com/", "events", []string{"user." + strings.Repeat("a", 60)}},
		{"https://example.com/", "events", many(51)},
	} {
		_, _, err := b.AddWebhook(ctx, shell, c.url, c.events)
		b.refused(err, vpn.CodeValidationFailed)
		if refusal := new(vpn.Error); !asError(err, &refusal) || refusal.Field != c.field {
			t.Errorf("%q %v: %v", c.url, c.events, err)
		}
	}
	w, _, err := b.AddWebhook(ctx, shell, "https://example.com/"+strings.Repeat("a", 2028), []string{" User.* ", "user.*", "device.sign_in"})
	if err != nil || !slices.Equal(w.Events, []string{"device.sign_in", "user.*"}) {
		t.Fatalf("%v, %v", w.Events, err)
	}
	for range 99 {
		b.webhook("*")
	}
	_, _, err = b.AddWebhook(ctx, shell, "https://example.com/", []string{"*"})
	b.refused(err, vpn.CodeValidationFailed)
}

// many are so many patterns.
func many(n int) (events []string) {
	for i := range n {
		events = append(events, "user."+strings.Repeat("a", i+1))
	}
	return events
}

func asError(err error, to **vpn.Error) bool {
	e, ok := errors.AsType[*vpn.Error](err)
	*to = e
	return ok
}

// Only operators see and change webhooks.
func TestWebhooksAreOperators(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	user, _ := b.signIn("user@example.com", "uuid-1")
	w := b.webhook("*")
	_, _, err := b.AddWebhook(ctx, user, "https://example.com/", []string{"*"})
	b.refused(err, vpn.CodeForbidden)
	_, err = b.Webhooks(ctx, user)
	b.refused(err, vpn.CodeForbidden)
	_, err = b.Webhook(ctx, user, w.ID)
	b.refused(err, vpn.CodeForbidden)
	b.refused(b.SetWebhook(ctx, user, w), vpn.CodeForbidden)
	b.refused(b.RemoveWebhook(ctx, user, w.ID), vpn.CodeForbidden)
	_, err = b.TestWebhook(ctx, user, w.ID)
	b.refused(err, vpn.CodeForbidden)
	_, err = b.Deliveries(ctx, user, w.ID, 0, 10)
	b.refused(err, vpn.CodeForbidden)
	b.refused(b.Redeliver(ctx, user, 1), vpn.CodeForbidden)
	b.refused(b.SetWantsMail(ctx, user, user.User.ID+1, false), vpn.CodeForbidden)
	if err := b.SetWantsMail(ctx, user, user.User.ID, false); err != nil {
		t.Error(err)
	}
	b.refused(b.RemoveWebhook(ctx, shell, vpn.MailWebhook), vpn.CodeNotFound)
	b.refused(b.RefuseMail(ctx, "nonsense"), vpn.CodeNotFound)
}

// Which audited actions are events.
func TestEvents(t *testing.T) {
	for action, want := range map[string]bool{
		"user.add": true, "user.rehash": false, "subscription.set": true, "payment.take": true, "voucher.redeem": true, "device.sign_in": true,
		"node.online": true, "server.add": true, "plan.update": true, "key.issue": false, "token.add": false, "webhook.add": false, "user.import": false, "subscription.import": false, "device.add": true, "node.join": true,
	} {
		if got := vpn.IsEvent(action); got != want {
			t.Errorf("%s: %v", action, got)
		}
	}
}

func TestRetryAt(t *testing.T) {
	now := time.Now()
	total := time.Duration(0)
	for attempt := 1; ; attempt++ {
		at := vpn.RetryAt(attempt, now)
		if at.IsZero() {
			if attempt != 9 {
				t.Errorf("given up after attempt %d", attempt)
			}
			break
		}
		total += at.Sub(now)
	}
	if total > 24*time.Hour || total < 23*time.Hour {
		t.Errorf("tried for %v", total)
	}
}
