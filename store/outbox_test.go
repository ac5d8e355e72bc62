package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"stile/store"
	"stile/vpn"
)

// No text opens as a token of mail but the ones that were made, in all their spellings.
func FuzzMailToken(f *testing.F) {
	s, err := store.Open(f.Context(), store.Config{DSN: filepath.Join(f.TempDir(), "stile.db"), Secret: secret})
	ok(f, err)
	f.Cleanup(func() { _ = s.Close() })
	token := s.MailToken(42)
	for _, seed := range []string{token, token[1:], token + "A", "", "====", "AAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := s.MailTokenUser(text); err == nil && id != 42 {
			t.Errorf("%q opens as user %d", text, id)
		}
	})
}

// A webhook's secret is sealed: it is nowhere in the database, and no other secret.key opens it.
func TestWebhookSecretsAreSealed(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		hook := vpn.Webhook{URL: "https://example.com/", Events: []string{"*"}, IsActive: true}
		hook, err := s.AddWebhook(t.Context(), hook, "whsec_visible", 10, vpn.Audit{Action: "webhook.add"})
		ok(t, err)
		ok(t, s.Close())
		db := raw(t, dsn)
		var sealed []byte
		ok(t, db.QueryRow("SELECT secret FROM webhook WHERE id = $1", hook.ID).Scan(&sealed))
		if string(sealed) == "whsec_visible" || len(sealed) != len("whsec_visible")+28 {
			t.Errorf("kept as %q", sealed)
		}
		_, err = db.Exec("INSERT INTO webhook (url, secret, is_active, created_at, updated_at) VALUES ('https://example.com/', $1, TRUE, 1, 1)", sealed)
		ok(t, err)
		s = open(t, dsn)
		defer s.Close()
		if _, plain, err := s.Webhook(t.Context(), hook.ID); err != nil || plain != "whsec_visible" {
			t.Errorf("opened as %q, %v", plain, err)
		}
		if _, plain, err := s.Webhook(t.Context(), hook.ID+1); err == nil {
			t.Errorf("moved to another row it opens as %q", plain)
		}
	})
}

// A write that is undone tells nothing.
func TestARefusedChangeIsNotTold(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		defer s.Close()
		hook, err := s.AddWebhook(t.Context(), vpn.Webhook{URL: "https://example.com/", Events: []string{"*"}, IsActive: true}, "x", 10, vpn.Audit{Action: "webhook.add"})
		ok(t, err)
		h := setup(t, s)
		for range 10 {
			_, err := s.AddUser(t.Context(), vpn.NewUser{Email: h.user.Email}, vpn.Audit{Action: "user.add"})
			if err == nil {
				t.Fatal("an e-mail is taken twice")
			}
		}
		claimed, err := s.ClaimDeliveries(t.Context(), hook.ID, time.Minute, 100)
		ok(t, err)
		if len(claimed) != 3 { // user.add, device.sign_in, server.add
			t.Errorf("told %+v", claimed)
		}
	})
}
