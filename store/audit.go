package store

import (
	"context"
	"math"

	"stile/vpn"
)

// Note implements vpn.AuditStore.
func (s *Store) Note(ctx context.Context, a vpn.Audit) error {
	return s.write(ctx, "note", func(t *tx) error {
		if err := t.number(); err != nil {
			return err
		}
		return t.audit(a, 0)
	})
}

// AuditLog implements vpn.AuditStore.
func (s *Store) AuditLog(ctx context.Context, before int64, limit int) ([]vpn.Audit, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read(ctx).rows(`
		SELECT id, actor_id, action, subject_id, at
		FROM audit
		WHERE id < $1
		ORDER BY id DESC
		LIMIT $2`, before, limit)
	return list(rows, err, scanAudit)
}

// UserAudit implements vpn.AuditStore. Each half follows its index, so that the newest of an account are found at once.
func (s *Store) UserAudit(ctx context.Context, userID, before int64, limit int) ([]vpn.Audit, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read(ctx).rows(`
		SELECT id, actor_id, action, subject_id, at
		FROM (
			SELECT *
			FROM (
				SELECT *
				FROM audit
				WHERE actor_id = $1
					AND id < $2
					AND action <> 'key.issue'
				ORDER BY id DESC
				LIMIT $3
			) AS acted
			UNION
			SELECT *
			FROM (
				SELECT *
				FROM audit
				WHERE subject_id = $1
					AND id < $2
					AND action <> 'key.issue'
					AND (action LIKE 'user.%' OR action LIKE 'subscription.%' OR action LIKE 'payment.%')
				ORDER BY id DESC
				LIMIT $3
			) AS subjected
		) AS either
		ORDER BY id DESC
		LIMIT $3`, userID, before, limit)
	return list(rows, err, scanAudit)
}

func scanAudit(row scanner) (a vpn.Audit, err error) {
	err = row.Scan(&a.ID, &a.ActorID, &a.Action, &a.SubjectID, instant{&a.At})
	return a, err
}
