package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stile/vpn"
	"stile/wire"
)

// pay tells of a payment, signed as its teller would.
func (w *world) pay(body string, at time.Time) reply {
	w.t.Helper()
	return w.call("POST", "/api/payments", body, "Content-Type: application/json", "Accept-Language: en",
		wire.SignatureHeader+": "+wire.Sign(w.config.PaymentSecret, []byte(body), at))
}

// A payment extends the subscription once, however often it is told; nobody can tell of one without the secret.
func TestPayments(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			w := setup(t, engine.dsn(t))
			before := must(w.service.Account(t.Context(), vpn.Shell(), w.user.ID))(t).Entitlement.Subscription.ExpiresAt
			body := `{"payment_id":"pi_1","email":"USER@example.com","plan":"` + w.plan.Code + `","periods":2,"amount":99800,"currency":"rub"}`
			first := decode[wire.PaymentResponse](t, w.pay(body, w.now()), http.StatusOK)
			want := before.AddDate(0, 0, 2*w.plan.PeriodDays).Truncate(time.Second)
			if !first.Applied || first.UserID != w.user.ID || first.Periods != 2 || !first.ExpiresAt.Equal(want) {
				t.Errorf("%+v, want the end at %v", first, want)
			}
			again := decode[wire.PaymentResponse](t, w.pay(body, w.now().Add(time.Minute)), http.StatusOK)
			if again.Applied || !again.ExpiresAt.Equal(want) {
				t.Errorf("told again: %+v", again)
			}
			wantProblem(t, w.pay(strings.Replace(body, `:2`, `:3`, 1), w.now()), http.StatusConflict, vpn.CodeConflict)
			wantProblem(t, w.pay(body, w.now().Add(-time.Hour)), http.StatusUnauthorized, codeSignatureExpired)
			forged := w.call("POST", "/api/payments", body, "Content-Type: application/json",
				wire.SignatureHeader+": "+wire.Sign([]byte("another"), []byte(body), w.now()))
			wantProblem(t, forged, http.StatusUnauthorized, codeSignatureInvalid)
			for field, body := range map[string]string{
				"email":      `{"payment_id":"pi_2","email":"nobody@example.com","plan":"` + w.plan.Code + `"}`,
				"plan":       `{"payment_id":"pi_2","email":"user@example.com","plan":"none"}`,
				"periods":    `{"payment_id":"pi_2","email":"user@example.com","plan":"` + w.plan.Code + `","periods":1201}`,
				"amount":     `{"payment_id":"pi_2","email":"user@example.com","plan":"` + w.plan.Code + `","amount":-1,"currency":"RUB"}`,
				"currency":   `{"payment_id":"pi_2","email":"user@example.com","plan":"` + w.plan.Code + `","amount":1,"currency":"RUBLES"}`,
				"payment_id": `{"email":"user@example.com","plan":"` + w.plan.Code + `"}`,
			} {
				if r := w.pay(body, w.now()); r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(r.body, `"errors":{"`+field+`":`) {
					t.Errorf("%s: %d %s", field, r.StatusCode, r.body)
				}
			}
			wantProblem(t, w.pay(`{"payment_id":`, w.now()), http.StatusBadRequest, codeMalformedJSON)
			if r := w.pay(strings.Repeat(" ", maxBodyBytes+1), w.now()); r.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("a long body: %d", r.StatusCode)
			}
			if account := must(w.service.Account(t.Context(), vpn.Shell(), w.user.ID))(t); !account.Entitlement.Subscription.ExpiresAt.Truncate(time.Second).Equal(want) {
				t.Errorf("the subscription ends at %v", account.Entitlement.Subscription.ExpiresAt)
			}
		})
	}
}

func TestNoPaymentsWithoutASecret(t *testing.T) {
	w := setup(t, engines[0].dsn(t), func(c *Config) { c.PaymentSecret = nil })
	if r := w.pay(`{}`, w.now()); r.StatusCode != http.StatusNotFound {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}
