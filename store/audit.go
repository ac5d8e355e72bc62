package store

import (
	"context"
	"math"

	"stile/vpn"
)

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
	return list(rows, err, func(row scanner) (a vpn.Audit, err error) {
		err = row.Scan(&a.ID, &a.ActorID, &a.Action, &a.SubjectID, instant{&a.At})
		return a, err
	})
}
