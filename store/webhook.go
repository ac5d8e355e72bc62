package store

import (
	"context"
	"math"

	"stile/vpn"
)

// AddWebhook implements vpn.WebhookStore.
func (s *Store) AddWebhook(ctx context.Context, w vpn.Webhook, secret string, limit int, a vpn.Audit) (vpn.Webhook, error) {
	err := s.write(ctx, "add webhook", func(t *tx) error {
		w.CreatedAt, w.UpdatedAt = t.now, t.now
		if err := one(t.row(`
			INSERT INTO webhook (url, secret, is_active, created_at, updated_at)
			SELECT CAST($1 AS TEXT), CAST($2 AS {{bytes}}), CAST($3 AS BOOLEAN), CAST($4 AS BIGINT), CAST($4 AS BIGINT)
			WHERE (SELECT COUNT(*) FROM webhook) <= $5
			RETURNING id`, w.URL, []byte{}, w.IsActive, millis(t.now), limit), &w.ID); err != nil { // MailWebhook is one, too
			if err == vpn.ErrNotFound { //nolint:errorlint // never wrapped inside a transaction
				err = vpn.ErrTaken
			}
			return err
		}
		if err := t.change(`
			UPDATE webhook
			SET secret = $2
			WHERE id = $1`, w.ID, s.seal([]byte(secret), purposeWebhook, w.ID)); err != nil {
			return err
		}
		if err := t.addPatterns(&w); err != nil {
			return err
		}
		return t.audit(a, w.ID)
	})
	if err != nil {
		return vpn.Webhook{}, err
	}
	return w, nil
}

// addPatterns writes which events a webhook wants.
func (t *tx) addPatterns(w *vpn.Webhook) error {
	for _, p := range w.Events {
		if _, err := t.exec(`
			INSERT INTO webhook_event (pattern, webhook_id)
			VALUES ($1, $2)`, p, w.ID); err != nil {
			return err
		}
	}
	return nil
}

// Webhooks implements vpn.WebhookStore.
func (s *Store) Webhooks(ctx context.Context) (all []vpn.Webhook, err error) {
	err = s.snapshot(ctx, func(q queries) error {
		rows, err := q.rows(`
			SELECT id, url, is_active, created_at, updated_at
			FROM webhook
			WHERE id > $1
			ORDER BY id`, vpn.MailWebhook)
		if all, err = list(rows, err, func(row scanner) (w vpn.Webhook, err error) {
			err = row.Scan(&w.ID, &w.URL, &w.IsActive, instant{&w.CreatedAt}, instant{&w.UpdatedAt})
			return w, err
		}); err != nil {
			return err
		}
		for i := range all {
			if all[i].Events, err = patterns(q, all[i].ID); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// patterns lists which events a webhook wants.
func patterns(q queries, webhookID int64) ([]string, error) {
	rows, err := q.rows(`
		SELECT pattern
		FROM webhook_event
		WHERE webhook_id = $1
		ORDER BY pattern`, webhookID)
	return list(rows, err, func(row scanner) (p string, err error) {
		err = row.Scan(&p)
		return p, err
	})
}

// Webhook implements vpn.WebhookStore.
func (s *Store) Webhook(ctx context.Context, id int64) (w vpn.Webhook, secret string, err error) {
	err = s.snapshot(ctx, func(q queries) error {
		var sealed []byte
		if err := one(q.row(`
			SELECT id, url, secret, is_active, created_at, updated_at
			FROM webhook
			WHERE id = $1
				AND id > $2`, id, vpn.MailWebhook), &w.ID, &w.URL, &sealed, &w.IsActive, instant{&w.CreatedAt}, instant{&w.UpdatedAt}); err != nil {
			return err
		}
		plain, err := s.unseal(sealed, purposeWebhook, id)
		if err != nil {
			return err
		}
		secret = string(plain)
		w.Events, err = patterns(q, id)
		return err
	})
	return w, secret, err
}

// SetWebhook implements vpn.WebhookStore.
func (s *Store) SetWebhook(ctx context.Context, w vpn.Webhook, a vpn.Audit) error {
	return s.write(ctx, "set webhook", func(t *tx) error {
		if err := t.change(`
			UPDATE webhook
			SET url = $2, is_active = $3, updated_at = $4
			WHERE id = $1
				AND id > $5`, w.ID, w.URL, w.IsActive, millis(t.now), vpn.MailWebhook); err != nil {
			return err
		}
		if _, err := t.exec(`
			DELETE FROM webhook_event
			WHERE webhook_id = $1`, w.ID); err != nil {
			return err
		}
		if err := t.addPatterns(&w); err != nil {
			return err
		}
		return t.audit(a, w.ID)
	})
}

// RemoveWebhook implements vpn.WebhookStore. Of a busy one there are a million deliveries: they go before it, some at a time, while
// it gets no more of them.
func (s *Store) RemoveWebhook(ctx context.Context, id int64, a vpn.Audit) error {
	for n := int64(maxPruned); n == maxPruned; {
		if err := s.write(ctx, "empty webhook", func(t *tx) error {
			err := t.change(`
				UPDATE webhook
				SET is_active = FALSE
				WHERE id = $1
					AND id > $2`, id, vpn.MailWebhook)
			if err != nil {
				return err
			}
			n, err = t.exec(`
				DELETE FROM delivery
				WHERE id IN (
					SELECT id
					FROM delivery
					WHERE webhook_id = $1
					ORDER BY id
					LIMIT $2
					{{skip}}
				)`, id, maxPruned)
			return err
		}); err != nil {
			return err
		}
	}
	return s.write(ctx, "remove webhook", func(t *tx) error {
		if err := t.change(`
			DELETE FROM webhook
			WHERE id = $1
				AND id > $2`, id, vpn.MailWebhook); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}

// TestWebhook implements vpn.WebhookStore.
func (s *Store) TestWebhook(ctx context.Context, id int64, a vpn.Audit) (d vpn.Delivery, err error) {
	err = s.write(ctx, "test webhook", func(t *tx) error {
		row := t.row(`
			INSERT INTO delivery (webhook_id, event, user_id, subject_id, at, queued_at, due_at, attempts, status, error, is_delivered, ended_at)
			SELECT id, CAST($3 AS TEXT), 0, id, CAST($4 AS BIGINT), CAST($4 AS BIGINT), CAST($4 AS BIGINT), 0, 0, '', FALSE, 0
			FROM webhook
			WHERE id = $1
				AND id > $2
			RETURNING`+deliveryColumns, id, vpn.MailWebhook, vpn.EventTest, millis(t.now))
		if d, err = scanDelivery(row); isNone(err) {
			return vpn.ErrNotFound
		}
		if err != nil {
			return err
		}
		return t.audit(a, id)
	})
	return d, err
}

// Deliveries implements vpn.WebhookStore.
func (s *Store) Deliveries(ctx context.Context, webhookID, before int64, limit int) ([]vpn.Delivery, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read(ctx).rows(`
		SELECT`+deliveryColumns+`
		FROM delivery
		WHERE webhook_id = $1
			AND id < $2
		ORDER BY id DESC
		LIMIT $3`, webhookID, before, limit)
	return list(rows, err, scanDelivery)
}

// Redeliver implements vpn.WebhookStore. The attempts are counted on, so that one which fails is not repeated all day.
func (s *Store) Redeliver(ctx context.Context, deliveryID int64, a vpn.Audit) error {
	return s.write(ctx, "redeliver", func(t *tx) error {
		if err := t.change(`
			UPDATE delivery
			SET due_at = $2, queued_at = $2, ended_at = 0, is_delivered = FALSE
			WHERE id = $1
				AND due_at = 0`, deliveryID, millis(t.now)); err != nil {
			return err
		}
		return t.audit(a, deliveryID)
	})
}
