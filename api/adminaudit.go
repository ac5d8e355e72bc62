package api

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"stile/vpn"
	"stile/wire"
)

// audit returns a page of the audit log, the newest first.
func (a *API) audit(ctx context.Context, actor *vpn.Actor, in backInput) (*wire.Page[wire.AdminAudit, int64], error) {
	entries, err := a.service.AuditPage(ctx, actor, vpn.AuditFilter{UserID: in.userID, Before: in.before, Limit: in.limit + 1})
	return pageOf(entries, in.limit, auditEntryOf, func(e *vpn.Audit) int64 { return e.ID }), err
}

// auditEntryOf keeps the milliseconds, which the hash is made of.
func auditEntryOf(e *vpn.Audit) wire.AdminAudit {
	return wire.AdminAudit{ID: e.ID, ActorID: e.ActorID, Action: e.Action, SubjectID: e.SubjectID, At: e.At.UTC()}
}

// verifyAudit holds the audit log against its chain.
func (a *API) verifyAudit(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.AdminChain, error) {
	c, err := a.service.VerifyAudit(ctx, actor)
	if err != nil {
		return nil, err
	}
	out := &wire.AdminChain{OK: !c.IsBroken, Entries: c.Entries, LastID: c.LastID, Head: hex.EncodeToString(c.Head[:])}
	if c.IsBroken {
		out.BrokenAfter, out.BrokenBy = &c.BrokenAfter, &c.BrokenBy
	}
	return out, nil
}

// exportAudit writes the audit log as JSON lines, each with its hash. It ends early when the log was changed: a line that
// does not hold is not written.
func (a *API) exportAudit(x *exchange) error {
	var in backInput
	if err := x.read(&in); err != nil {
		return err
	}
	w := bufio.NewWriter(x.w)
	enc := json.NewEncoder(w)
	begin := func() {
		if x.status == 0 {
			x.w.Header()["Content-Type"] = []string{"application/jsonl"}
			x.status = http.StatusOK
			x.w.WriteHeader(x.status)
		}
	}
	err := a.service.ExportAudit(x.r.Context(), x.actor, in.after, func(e vpn.Audit, h vpn.AuditHash) error {
		begin()
		line := auditEntryOf(&e)
		line.Hash = hex.EncodeToString(h[:])
		return enc.Encode(line)
	})
	if err != nil && x.status == 0 {
		return err
	}
	if err != nil && !x.isGone(err) {
		panic(err) // the answer is half there: only cutting it off tells the client
	}
	begin()
	_ = w.Flush() // whoever asked may be gone
	return nil
}
