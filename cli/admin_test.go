package cli

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stile/vpn"
)

// What operators do at the shell about roles, tokens and the audit log.
func TestRolesAndAuditAtTheShell(t *testing.T) {
	data := t.TempDir()
	stile := func(code int, want string, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		got := Run(t.Context(), append(args, "--data", data), &Terminal{In: strings.NewReader(""), Out: &out, Err: &out})
		if got != code || !strings.Contains(out.String(), want) {
			t.Fatalf("stile %v: exit code %d, want %d with %q:\n%s", args, got, code, want, &out)
		}
		return out.String()
	}
	stile(0, "made", "user", "add", "root@example.com", "--operator")
	stile(0, "owner", "user", "list")
	stile(1, "nobody else is an owner", "user", "role", "root@example.com", "admin")
	stile(1, "nobody else is an owner", "user", "remove", "root@example.com")
	stile(0, "made", "user", "add", "anna@example.com")
	stile(0, "anna@example.com: support", "user", "role", "anna@example.com", "support")
	stile(2, "must be one of", "user", "role", "anna@example.com", "operator")
	stile(0, "|", "user", "token", "root@example.com", "script", "--scope", "admin:read", "--scope", "admin:write")
	stile(2, "must be one of", "user", "token", "root@example.com", "script", "--scope", "root")

	stile(0, "user.role_support", "audit", "--limit", "5")
	stile(0, "0 entries hold", "audit", "verify")
	if err := (&databaseFlags{Data: data}).use(t.Context(), func(s *vpn.Service) error { return s.ChainAudit(t.Context()) }); err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile("Head: ([0-9a-f]{64})").FindStringSubmatch(stile(0, "4 entries hold, up to number 4", "audit", "verify"))
	if head == nil {
		t.Fatal("no head")
	}
	lines := strings.Split(strings.TrimSpace(stile(0, "", "audit", "export", "--after", "3")), "\n")
	var last struct {
		ID   int64
		Hash string
	}
	if err := json.Unmarshal([]byte(lines[0]), &last); err != nil || len(lines) != 1 || last.ID != 4 || last.Hash != head[1] {
		t.Errorf("%v: %s", err, lines)
	}
	stile(0, "made", "user", "add", "boris@example.com")
	stile(0, "4 entries hold", "audit", "verify", "--head", head[1])
	stile(1, "no entry has this hash", "audit", "verify", "--head", strings.Repeat("0", 64))
	db, err := sql.Open("sqlite", filepath.Join(data, "stile.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DELETE FROM audit WHERE id = 2"); err != nil {
		t.Fatal(err)
	}
	stile(1, "the audit log was changed", "audit", "verify")
}
