package cli

import (
	"context"
	"time"

	"stile/vpn"
)

// AuditCmd is `stile audit`.
type AuditCmd struct {
	databaseFlags
	Before int64 `help:"Only entries older than this number."`
	Limit  int   `default:"50" help:"At most this many, up to 1000."`
	JSON   bool  `name:"json" help:"Print JSON."`
}

type auditRow struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	ActorID   int64     `json:"actor_id"`
	Action    string    `json:"action"`
	SubjectID int64     `json:"subject_id"`
}

// Run shows the newest entries first.
func (c *AuditCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		entries, err := s.AuditLog(ctx, shell, c.Before, min(max(c.Limit, 1), 1000))
		if err != nil {
			return err
		}
		rows := make([]auditRow, 0, len(entries))
		cells := make([][]string, 0, len(entries))
		for _, e := range entries {
			rows = append(rows, auditRow{e.ID, e.At, e.ActorID, e.Action, e.SubjectID})
			actor := "shell"
			if e.ActorID != 0 {
				actor = "user " + id(e.ActorID)
			}
			cells = append(cells, []string{id(e.ID), e.At.Format(time.RFC3339), actor, e.Action, id(e.SubjectID)})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"NO", "AT", "WHO", "WHAT", "NUMBER"}, cells)
		return nil
	})
}
