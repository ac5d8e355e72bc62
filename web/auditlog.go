package web

import (
	"net/http"
	"strconv"
	"strings"

	"stile/vpn"
)

// auditPage is the audit log, the newest entry first.
type auditPage struct {
	Entries []auditEntry
	// Before is where the page begins, Next where the following one does; 0 = at the newest, and none.
	Before, Next int64
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
	p := auditPage{Before: max(0, before)}
	entries, err := s.service.AuditLog(v.r.Context(), v.actor, p.Before, pageRows+1)
	if err != nil {
		return err
	}
	if len(entries) > pageRows {
		entries = entries[:pageRows]
		p.Next = entries[pageRows-1].ID
	}
	var ids []int64
	for i := range entries {
		ids = append(ids, entries[i].ActorID)
		if isOfUser(entries[i].Action) {
			ids = append(ids, entries[i].SubjectID)
		}
	}
	emails, err := s.service.Emails(v.r.Context(), v.actor, ids)
	if err != nil {
		return err
	}
	for i := range entries {
		e := auditEntry{Audit: entries[i], Actor: emails[entries[i].ActorID]}
		e.Subject, e.Link = subjectOf(&entries[i], emails)
		p.Entries = append(p.Entries, e)
	}
	return v.page(http.StatusOK, "audit", p)
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
