package web

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
)

// auditPage is the audit log, the newest entry first.
type auditPage struct {
	Entries []auditEntry
	// Before is where the page begins, Next where the following one does; 0 = at the newest, and none.
	Before, Next int64
	// Chain is what a check found, nil when none was asked for; Head is the hash at its end.
	Chain *vpn.AuditChain
	Head  string
}

// auditEntry is an entry with what its numbers stand for.
type auditEntry struct {
	vpn.Audit
	// Actor is an e-mail; "" for the program and the command line, and for who is gone.
	Actor string
	// Subject is an e-mail, or a number; Link is its page, "" without one.
	Subject, Link string
}

func (s *Site) auditLog(v *visit) error {
	before, _ := strconv.ParseInt(v.r.URL.Query().Get("before"), 10, 64)
	return s.showAudit(v, auditPage{Before: max(0, before)})
}

func (s *Site) showAudit(v *visit, p auditPage) error {
	entries, err := s.service.AuditLog(v.r.Context(), v.actor, p.Before, pageRows+1)
	if err != nil {
		return err
	}
	if len(entries) > pageRows {
		entries = entries[:pageRows]
		p.Next = entries[pageRows-1].ID
	}
	if p.Entries, err = s.auditRows(v, entries); err != nil {
		return err
	}
	return v.page(http.StatusOK, "audit", p)
}

// auditRows looks up what the numbers of entries stand for.
func (s *Site) auditRows(v *visit, entries []vpn.Audit) (rows []auditEntry, err error) {
	var ids []int64
	for i := range entries {
		ids = append(ids, entries[i].ActorID)
		if isOfUser(entries[i].Action) {
			ids = append(ids, entries[i].SubjectID)
		}
	}
	emails, err := s.service.Emails(v.r.Context(), v.actor, ids)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		e := auditEntry{Audit: entries[i], Actor: emails[entries[i].ActorID]}
		e.Subject, e.Link = subjectOf(&entries[i], emails)
		rows = append(rows, e)
	}
	return rows, nil
}

// verifyAudit holds the log against its chain and shows what came of it above its newest entries.
func (s *Site) verifyAudit(v *visit) error {
	chain, err := s.service.VerifyAudit(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	return s.showAudit(v, auditPage{Chain: &chain, Head: hex.EncodeToString(chain.Head[:])})
}

// auditLine is an entry of an exported log: the same as the API's.
type auditLine struct {
	ID        int64     `json:"id"`
	ActorID   int64     `json:"actor_id"`
	Action    string    `json:"action"`
	SubjectID int64     `json:"subject_id"`
	At        time.Time `json:"at"`
	Hash      string    `json:"hash"`
}

// exportAudit answers with the whole log as JSON lines, each with its hash. A log that was changed ends before the change.
func (s *Site) exportAudit(v *visit) error {
	w := bufio.NewWriter(v.w)
	lines := json.NewEncoder(w)
	begin := func() {
		if v.status == 0 {
			v.attach("audit.jsonl", "application/jsonl")
		}
	}
	err := s.service.ExportAudit(v.r.Context(), v.actor, 0, func(e vpn.Audit, h vpn.AuditHash) error {
		begin()
		return lines.Encode(auditLine{e.ID, e.ActorID, e.Action, e.SubjectID, e.At.UTC(), hex.EncodeToString(h[:])})
	})
	if err != nil && v.status == 0 {
		return err
	}
	if err != nil && v.r.Context().Err() == nil {
		panic(err) // the file is half there: only cutting it off tells the browser
	}
	begin()
	_ = w.Flush() // whoever asked may be gone
	return nil
}

// isOfUser reports whether the subject of an action is a user.
func isOfUser(action string) bool {
	noun, _, _ := strings.Cut(action, ".")
	return noun == "user" || noun == "subscription"
}

// subjectOf returns what an entry is about, and the page of it if there is one.
func subjectOf(a *vpn.Audit, emails map[int64]string) (subject, link string) {
	id := number(a.SubjectID)
	noun, _, _ := strings.Cut(a.Action, ".")
	switch {
	case a.SubjectID == 0:
		return "", ""
	case isOfUser(a.Action) && emails[a.SubjectID] != "":
		return emails[a.SubjectID], "/admin/users/" + id
	case noun == "server" || noun == "node":
		return id, "/admin/servers/" + id
	case noun == "plan":
		return id, "/admin/plans/" + id
	default:
		return id, ""
	}
}
