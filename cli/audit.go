package cli

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"stile/vpn"
)

// AuditCmd is `stile audit`.
type AuditCmd struct {
	List   AuditListCmd   `cmd:"" default:"withargs" help:"Show the newest entries."`
	Verify AuditVerifyCmd `cmd:"" help:"Read the whole log and hold it against its chain of hashes."`
	Export AuditExportCmd `cmd:"" help:"Print the log as JSON lines, the oldest first, each with its hash."`
}

// AuditListCmd is `stile audit list`, also without the last word.
type AuditListCmd struct {
	databaseFlags
	Before int64 `help:"Only entries older than this number."`
	Limit  int   `range:"1..1000" default:"50" help:"At most this many, up to 1000."`
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
func (c *AuditListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		entries, err := s.AuditLog(ctx, shell, c.Before, c.Limit)
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

// AuditVerifyCmd is `stile audit verify`.
type AuditVerifyCmd struct {
	databaseFlags
	Head string `placeholder:"HASH" help:"A hash that was noted before: it must be in the log still, or entries at the end were removed."`
}

// Run fails when the log was changed.
func (c *AuditVerifyCmd) Run(ctx context.Context, t *Terminal) error {
	if raw, err := hex.DecodeString(c.Head); c.Head != "" && (err != nil || len(raw) != len(vpn.AuditHash{})) {
		return errors.New("--head: want the 64 hex digits that an earlier 'stile audit verify' printed") // not to cry wolf over a slip
	}
	return c.use(ctx, func(s *vpn.Service) error {
		chain, err := s.VerifyAudit(ctx, shell)
		if err != nil {
			return err
		}
		if chain.IsBroken {
			return fmt.Errorf("the audit log was changed: something after entry %d, up to entry %d, is not what it was; the %d entries before hold",
				chain.BrokenAfter, chain.BrokenBy, chain.Entries)
		}
		if c.Head != "" {
			isThere := false
			if err := s.ExportAudit(ctx, shell, 0, func(_ vpn.Audit, h vpn.AuditHash) error {
				isThere = isThere || strings.EqualFold(hex.EncodeToString(h[:]), c.Head)
				return nil
			}); err != nil {
				return err
			}
			if !isThere {
				return errors.New("no entry has this hash any more: the log is another one, or its end was removed")
			}
		}
		hold := "entries hold"
		if chain.Entries == 1 {
			hold = "entry holds"
		}
		t.printf("%d %s, up to number %d.\nHead: %x\n", chain.Entries, hold, chain.LastID, chain.Head)
		t.notef("Newer entries come under the chain within seconds while `stile serve` runs.\n")
		return nil
	})
}

// AuditExportCmd is `stile audit export`.
type AuditExportCmd struct {
	databaseFlags
	After int64 `help:"Leave entries up to this number out."`
}

// exportRow is an entry with the hash after it.
type exportRow struct {
	auditRow
	Hash string `json:"hash"`
}

// Run prints what is under the chain.
func (c *AuditExportCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		w := bufio.NewWriter(t.Out)
		enc := json.NewEncoder(w)
		err := s.ExportAudit(ctx, shell, c.After, func(e vpn.Audit, h vpn.AuditHash) error {
			return enc.Encode(exportRow{auditRow{e.ID, e.At, e.ActorID, e.Action, e.SubjectID}, hex.EncodeToString(h[:])})
		})
		return errors.Join(err, w.Flush())
	})
}
