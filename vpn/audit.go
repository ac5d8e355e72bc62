package vpn

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
)

// AuditHash is a link of the chain over the audit log: of an entry and all before it.
type AuditHash [sha256.Size]byte

// Next returns the hash after one more entry: SHA-256 over the hash before and the entry's canonical content, which is id,
// actor, subject and milliseconds, each as 8 bytes big-endian, and then the action.
func (h AuditHash) Next(a *Audit) AuditHash {
	b := make([]byte, 0, 2*sha256.Size+32)
	b = append(b, h[:]...)
	for _, n := range []int64{a.ID, a.ActorID, a.SubjectID, a.At.UnixMilli()} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return sha256.Sum256(append(b, a.Action...))
}

// AuditChain is what a check of the audit log found.
type AuditChain struct {
	// Entries are those under the chain; those of the last seconds are not yet.
	Entries int64
	// Head is the hash after the last of them, LastID. Whoever notes it elsewhere can hold a later log against it.
	Head   AuditHash
	LastID int64
	// IsBroken: between the entries BrokenAfter (0 = the first) and BrokenBy, both without and with it, something was
	// changed, removed or added. Entries, Head and LastID are those up to BrokenAfter then.
	IsBroken    bool
	BrokenAfter int64
	BrokenBy    int64
}

// AuditFilter narrows the audit log, the newest first.
type AuditFilter struct {
	// UserID is of an account that acted or was acted on; the keys that its devices asked for are left out. 0 = all.
	UserID int64
	// Before is the last id of the page before; 0 starts.
	Before int64
	Limit  int
}

// AuditLog returns entries older than before (an id, 0 = the newest), the newest first.
func (s *Service) AuditLog(ctx context.Context, a *Actor, before int64, limit int) ([]Audit, error) {
	return s.AuditPage(ctx, a, AuditFilter{Before: before, Limit: limit})
}

// AuditPage returns a page of the audit log.
func (s *Service) AuditPage(ctx context.Context, a *Actor, f AuditFilter) ([]Audit, error) {
	if err := a.may(NounAudit, Read); err != nil {
		return nil, err
	}
	if f.UserID != 0 {
		return s.store.UserAudit(ctx, f.UserID, f.Before, f.Limit)
	}
	return s.store.AuditLog(ctx, f.Before, f.Limit)
}

// ExportAudit calls yield for each entry under the chain with an id above after, in their order, with the hash after it.
// An error of yield ends it.
func (s *Service) ExportAudit(ctx context.Context, a *Actor, after int64, yield func(Audit, AuditHash) error) error {
	if err := a.may(NounAudit, Read); err != nil {
		return err
	}
	_, err := s.store.VerifyAudit(ctx, func(e Audit, h AuditHash) error {
		if e.ID <= after {
			return nil
		}
		return yield(e, h)
	})
	return err
}

// VerifyAudit reads the whole audit log and holds it against its chain.
func (s *Service) VerifyAudit(ctx context.Context, a *Actor) (AuditChain, error) {
	if err := a.may(NounAudit, Read); err != nil {
		return AuditChain{}, err
	}
	return s.store.VerifyAudit(ctx, nil)
}

// ChainAudit puts the entries under the chain that nothing can come before any more. It is called every few seconds.
func (s *Service) ChainAudit(ctx context.Context) error {
	for {
		isDone, err := s.store.AnchorAudit(ctx)
		if err != nil || isDone {
			return err
		}
	}
}
