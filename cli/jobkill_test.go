package cli_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stile/wire"
)

// kill -9 while a job goes on: the next start ends it, and each account was extended once.
func TestKillDoesNoJobTwice(t *testing.T) {
	const accounts = 1500
	m := newMachine(t, "")
	var dump bytes.Buffer
	for i := range accounts {
		fmt.Fprintf(&dump, "INSERT INTO `users` (`id`, `name`, `email`, `password`) VALUES (%d,'Many','many%d@example.com','');\n", i+100, i)
	}
	dump.WriteString("INSERT INTO `personal_access_tokens` (`id`, `tokenable_type`, `tokenable_id`, `name`, `token`, `created_at`) VALUES (1,'x',1,'x','x',NULL);\n")
	file := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(file, dump.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	m.stile("import", "laravel", "--from", file, "--plan", "standard", "--apply")
	m.stile("user", "add", "root@example.com", "--operator")
	root := &device{m: m, token: strings.TrimSpace(m.stile("user", "token", "root@example.com", "script", "--scope", "admin:write"))}
	ends := func() map[string]time.Time {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, m.url+"/api/admin/users/export?search=many", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+root.token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines, err := csv.NewReader(resp.Body).ReadAll()
		if err != nil || len(lines) != accounts+1 {
			t.Fatalf("%d lines, %v", len(lines), err)
		}
		at := make(map[string]time.Time, accounts)
		for _, line := range lines[1:] {
			if at[line[1]], err = time.Parse(time.RFC3339, line[9]); err != nil {
				t.Fatal(err)
			}
		}
		return at
	}
	before := ends()
	var j wire.AdminJob
	if status := root.post("/api/admin/jobs", map[string]any{"action": "extend", "days": 7, "all": true, "search": "many"}, &j); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	path := fmt.Sprintf("/api/admin/jobs/%d", j.ID)
	kills := 0
	for goal := int64(100); goal < accounts; goal += 600 {
		m.until("the job goes on", func() bool {
			status, err := root.call(context.Background(), http.MethodGet, path, nil, &j)
			return err == nil && status == http.StatusOK && j.Done >= goal
		})
		if j.EndedAt == nil {
			kills++
		}
		m.kill()
		m.start()
	}
	for deadline := time.Now().Add(5 * time.Minute); j.State != "done"; time.Sleep(50 * time.Millisecond) {
		if status := root.get(path, &j); status != http.StatusOK || time.Now().After(deadline) {
			t.Fatalf("status %d, %+v\n%s", status, j, m.log)
		}
	}
	if j.Done != accounts || j.Refused != 0 || kills == 0 {
		t.Errorf("%+v after %d kills", j, kills)
	}
	for email, at := range ends() {
		if want := before[email].AddDate(0, 0, 7); !at.Equal(want) {
			t.Fatalf("%s ends %v, want %v", email, at, want)
		}
	}
	if out := m.refusal("user", "diagnose", "many1@example.com", "--json"); !strings.Contains(out, `"no_device"`) {
		t.Error(out)
	}
}
