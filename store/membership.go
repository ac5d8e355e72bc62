package store

import (
	"context"
	"errors"
	"time"

	"stile/vpn"
)

// Authority implements vpn.MembershipStore.
func (s *Store) Authority(ctx context.Context) (vpn.Authority, error) {
	return s.authority(s.read(ctx))
}

func (s *Store) authority(q queries) (a vpn.Authority, err error) {
	var sealed []byte
	if err := one(q.row(`
		SELECT certificate, key, url
		FROM node_authority
		WHERE id = 1`), &a.Certificate, &sealed, &a.URL); err != nil {
		return vpn.Authority{}, err
	}
	a.PrivateKey, err = s.unseal(sealed, purposeNodes, 1)
	return a, err
}

// KeepAuthority implements vpn.MembershipStore.
func (s *Store) KeepAuthority(ctx context.Context, a vpn.Authority) (kept vpn.Authority, err error) {
	err = s.write(ctx, "keep authority", func(t *tx) error {
		if _, err := t.exec(`
			INSERT INTO node_authority (id, certificate, key, url, created_at)
			VALUES (1, $1, $2, $3, $4)
			ON CONFLICT (id) DO NOTHING`, a.Certificate, s.seal(a.PrivateKey, purposeNodes, 1), a.URL, millis(t.now)); err != nil {
			return err
		}
		kept, err = s.authority(t)
		return err
	})
	return kept, err
}

// SetNodesURL implements vpn.MembershipStore.
func (s *Store) SetNodesURL(ctx context.Context, url string) error {
	return s.write(ctx, "set nodes URL", func(t *tx) error {
		return t.change(`
			UPDATE node_authority
			SET url = $1
			WHERE id = 1`, url)
	})
}

// SetJoinToken implements vpn.MembershipStore.
func (s *Store) SetJoinToken(ctx context.Context, nodeID int64, hash vpn.TokenHash, expiresAt time.Time, a vpn.Audit) error {
	return s.write(ctx, "set join token", func(t *tx) error {
		if err := t.change(`
			INSERT INTO node_identity (node_id, key_hash, joined_at, revoked_at, certified_until, token_hash, token_expires_at, token_used_at)
			SELECT id, $2, 0, 0, 0, $3, $4, 0
			FROM server
			WHERE id = $1
			ON CONFLICT (node_id) DO UPDATE
			SET token_hash = excluded.token_hash, token_expires_at = excluded.token_expires_at, token_used_at = 0`,
			nodeID, []byte{}, hash[:], millis(expiresAt)); err != nil {
			return err
		}
		return t.audit(a, nodeID)
	})
}

// RedeemJoin implements vpn.MembershipStore. A retry is let in after the token's deadline too: it was used in time.
func (s *Store) RedeemJoin(ctx context.Context, j vpn.Joining, a vpn.Audit) error {
	return s.write(ctx, "redeem join token", func(t *tx) error {
		err := t.change(`
			UPDATE node_identity
			SET key_hash = $3, joined_at = $4, revoked_at = 0, certified_until = $5,
				token_used_at = CASE WHEN token_used_at = 0 THEN $4 ELSE token_used_at END
			WHERE node_id = $1
				AND token_hash = $2
				AND ((token_used_at = 0 AND token_expires_at > $4)
					OR (token_used_at > $6 AND key_hash = $3))`,
			j.NodeID, j.Token[:], j.Key[:], millis(t.now), millis(j.CertifiedUntil), millis(t.now.Add(-vpn.JoinRetry)))
		if errors.Is(err, vpn.ErrNotFound) {
			return t.whyNotRedeemed(j)
		}
		if err != nil {
			return err
		}
		return t.audit(a, j.NodeID)
	})
}

func (t *tx) whyNotRedeemed(j vpn.Joining) error {
	var usedAt int64
	err := one(t.row(`
		SELECT token_used_at
		FROM node_identity
		WHERE node_id = $1
			AND token_hash = $2`, j.NodeID, j.Token[:]), &usedAt)
	switch {
	case err != nil:
		return err
	case usedAt > 0:
		return vpn.ErrTokenUsed
	}
	return vpn.ErrTokenExpired
}

const identityColumns = `
	node_id, key_hash, joined_at, revoked_at, certified_until`

func scanIdentity(row scanner) (n vpn.NodeIdentity, err error) {
	var key []byte
	err = row.Scan(&n.NodeID, &key, instant{&n.JoinedAt}, instant{&n.RevokedAt}, instant{&n.CertifiedUntil})
	copy(n.Key[:], key)
	return n, err
}

var identityByID = lookup{`
	SELECT` + identityColumns + `
	FROM node_identity
	WHERE node_id IN (`, "?", ", ", ")"}

// NodeIdentity implements vpn.MembershipStore.
func (s *Store) NodeIdentity(_ context.Context, nodeID int64) (n vpn.NodeIdentity, err error) {
	err = s.lookRow(&identityByID, func(row scanner) (err error) { n, err = scanIdentity(row); return err }, nodeID)
	return n, err
}

// NodeIdentities implements vpn.MembershipStore.
func (s *Store) NodeIdentities(ctx context.Context) ([]vpn.NodeIdentity, error) {
	rows, err := s.scan(ctx).rows(`
		SELECT` + identityColumns + `
		FROM node_identity
		ORDER BY node_id`)
	return list(rows, err, scanIdentity)
}

// SetNodeCertified implements vpn.MembershipStore.
func (s *Store) SetNodeCertified(ctx context.Context, nodeID int64, key vpn.NodeKeyHash, until time.Time) error {
	return s.write(ctx, "set node certified", func(t *tx) error {
		return t.change(`
			UPDATE node_identity
			SET certified_until = $3
			WHERE node_id = $1
				AND key_hash = $2
				AND revoked_at = 0`, nodeID, key[:], millis(until))
	})
}

// RevokeNode implements vpn.MembershipStore. The token goes too: a retry of its redemption must not undo this.
func (s *Store) RevokeNode(ctx context.Context, nodeID int64, a vpn.Audit) error {
	return s.write(ctx, "revoke node", func(t *tx) error {
		if err := t.change(`
			UPDATE node_identity
			SET revoked_at = $2, token_hash = $3
			WHERE node_id = $1`, nodeID, millis(t.now), []byte{}); err != nil {
			return err
		}
		return t.audit(a, nodeID)
	})
}
