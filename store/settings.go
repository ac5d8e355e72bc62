package store

import (
	"context"
	"errors"

	"stile/vpn"
)

// Settings implements vpn.SettingsStore.
func (s *Store) Settings(ctx context.Context) (v vpn.Settings, err error) {
	err = one(s.read(ctx).row(`
		SELECT brand, account_url, renew_url, support_url, sign_up, mail_from
		FROM setting
		WHERE id = 1`), &v.Brand, &v.Links.Account, &v.Links.Renew, &v.Links.Support, &v.SignUp, &v.MailFrom)
	if errors.Is(err, vpn.ErrNotFound) {
		return vpn.Settings{}, nil
	}
	return v, err
}

// SetSettings implements vpn.SettingsStore.
func (s *Store) SetSettings(ctx context.Context, v vpn.Settings, a vpn.Audit) error {
	return s.write(ctx, "set settings", func(t *tx) error {
		if _, err := t.exec(`
			INSERT INTO setting (id, brand, account_url, renew_url, support_url, sign_up, mail_from, updated_at)
			VALUES (1, $1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id) DO UPDATE
			SET brand = excluded.brand, account_url = excluded.account_url, renew_url = excluded.renew_url,
				support_url = excluded.support_url, sign_up = excluded.sign_up, mail_from = excluded.mail_from,
				updated_at = excluded.updated_at`,
			v.Brand, v.Links.Account, v.Links.Renew, v.Links.Support, string(v.SignUp), v.MailFrom, millis(t.now)); err != nil {
			return err
		}
		return t.audit(a, 0)
	})
}
