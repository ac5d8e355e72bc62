package cli_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"stile/wire"
)

// laravelDump is a dump of an application with users 1 and 42, who have the password of all tests, and a token each.
func laravelDump(t *testing.T) (path string, tokens map[int64]string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(testPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	php := "$2y$" + string(hash[4:]) // as PHP spells the same hash
	secrets := map[int64]string{1: strings.Repeat("a", 40) + "0badcafe", 42: strings.Repeat("b", 40)}
	tokens = make(map[int64]string)
	text := "INSERT INTO `users` (`id`, `name`, `email`, `password`, `phone`) VALUES (1,'First','first@example.com','" + php +
		"','+7'),(42,'Иван','ivan@example.com','" + php + "',NULL),(43,'x','no address','',NULL);\n" +
		"INSERT INTO `personal_access_tokens` (`id`, `tokenable_type`, `tokenable_id`, `name`, `token`, `created_at`) VALUES "
	for id, secret := range secrets {
		sum := sha256.Sum256([]byte(secret))
		text += fmt.Sprintf(`(%d,'App\\Models\\User',%d,'Pixel 9','%s','2026-01-01 00:00:00'),`, id, id, hex.EncodeToString(sum[:]))
		tokens[id] = fmt.Sprintf("%d|%s", id, secret)
	}
	text += `(99,'App\\Models\\User',99,'nobody','` + strings.Repeat("0", 64) + `',NULL);` + "\n"
	path = filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, tokens
}

// An application's users go on as they are: with their passwords, and without signing in again.
func TestImportLaravel(t *testing.T) {
	engines(t, func(t *testing.T, dsn string) {
		m := newMachine(t, dsn)
		m.stile("user", "add", "root@example.com", "--operator") // takes the ids that the first user and token had
		m.stile("user", "token", "root@example.com", "script")
		dump, tokens := laravelDump(t)
		report := m.stile("import", "laravel", "--from", dump, "--plan", "standard")
		for _, want := range []string{
			"users: 3 read", "1  new\n", "1  new, with another id\n", "1  left: not an e-mail address\n", "users 43: not an e-mail address\n",
			"personal_access_tokens: 3 read", "1  left: its user is not here\n", "Not read: users.phone\n", "Nothing was changed.",
		} {
			if !strings.Contains(report, want) {
				t.Errorf("the report lacks %q:\n%s", want, report)
			}
		}
		ivan := &device{m: m, token: tokens[42]}
		if status := ivan.get("/api/user", nil); status != http.StatusUnauthorized {
			t.Errorf("after a dry run: %d", status)
		}
		if report = m.stile("import", "laravel", "--from", dump, "--plan", "standard", "--apply"); !strings.Contains(report, "2 accounts were subscribed to standard.") {
			t.Errorf("report:\n%s", report)
		}
		if report = m.stile("import", "laravel", "--from", dump, "--apply"); strings.Count(report, "2  there already\n") != 2 {
			t.Errorf("the second time:\n%s", report)
		}
		for old, email := range map[int64]string{1: "first@example.com", 42: "ivan@example.com"} {
			d := &device{m: m, token: tokens[old]}
			var user wire.User
			if status := d.get("/api/user", &user); status != http.StatusOK || user.Email != email || (old == 42 && user.ID != 42) {
				t.Errorf("token %d: %d %+v", old, status, user)
			}
			key := d.key()
			var again wire.IssuedKey // whatever the old server called the device
			if status := d.post("/api/key", map[string]any{"server_id": key.ServerID, "device_id": 6}, &again); status != http.StatusOK || again.Key != key.Key {
				t.Errorf("key: %d, %q, was %q", status, again.Key, key.Key)
			}
			m.signIn(email, "laptop")
			if status := d.post("/api/logout", nil, nil); status != http.StatusOK {
				t.Errorf("logout: %d", status)
			}
			if status := d.get("/api/user", nil); status != http.StatusUnauthorized {
				t.Errorf("signed out, and: %d", status)
			}
		}
	})
}

func TestImportRefusesWhatItCannotRead(t *testing.T) {
	m := &machine{t: t, data: t.TempDir()}
	dump := filepath.Join(m.data, "none.sql")
	for _, args := range [][]string{
		{"import", "laravel", "--from", dump},
		{"import", "laravel", "--from", m.data},
		{"import", "laravel", "--from", dump, "--plan", "none"},
	} {
		if out := m.fails(args...); !strings.Contains(out, "stile: --from: ") {
			t.Errorf("%q: %s", args, out)
		}
	}
	if err := os.WriteFile(dump, []byte("SELECT 1;"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := m.fails("import", "laravel", "--from", dump, "--plan", "none"); !strings.Contains(out, `--plan: no plan "none"`) {
		t.Error(out)
	}
	if out := m.fails("import", "laravel", "--from", dump); !strings.Contains(out, `holds no table "users"`) {
		t.Error(out)
	}
}

// fails runs a command that must fail, and returns what it prints.
func (m *machine) fails(args ...string) string {
	m.t.Helper()
	cmd := exec.Command(stileBinary, args...)
	cmd.Env = m.env()
	out, err := cmd.CombinedOutput()
	if err == nil {
		m.t.Fatalf("stile %s succeeds:\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

// BenchmarkImportLaravel imports b.N users with a token each, and subscribes them.
func BenchmarkImportLaravel(b *testing.B) {
	path := filepath.Join(b.TempDir(), "dump.sql")
	writeDump(b, path, b.N)
	m := &machine{t: b, data: b.TempDir()}
	m.stile("plan", "add", "standard")
	b.ResetTimer()
	m.stile("import", "laravel", "--from", path, "--plan", "standard", "--apply")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "users/s")
}

// dumpedSecret is the secret of the token of a user of writeDump, whose id is the user's.
func dumpedSecret(user int) string { return "secret" + strconv.Itoa(user) }

// writeDump makes a dump of users 1 to n with a token each.
func writeDump(b *testing.B, path string, n int) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	hash := "$2y$10$" + strings.Repeat("a", 53)
	for _, table := range []struct {
		head string
		row  func(user int) string
	}{
		{"INSERT INTO `users` (`id`, `name`, `email`, `password`, `created_at`) VALUES ", func(user int) string {
			return fmt.Sprintf("(%[1]d,'User %[1]d','user%[1]d@example.com','%[2]s','2026-01-01 00:00:00')", user, hash)
		}},
		{"INSERT INTO `personal_access_tokens` (`id`, `tokenable_type`, `tokenable_id`, `name`, `token`, `created_at`) VALUES ", func(user int) string {
			return fmt.Sprintf(`(%[1]d,'App\\Models\\User',%[1]d,'iPhone 12','%[2]x','2026-01-01 00:00:00')`, user, sha256.Sum256([]byte(dumpedSecret(user))))
		}},
	} {
		_, _ = w.WriteString(table.head)
		for i := range n {
			if i > 0 {
				_ = w.WriteByte(',')
			}
			_, _ = w.WriteString(table.row(i + 1))
		}
		_, _ = w.WriteString(";\n")
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		b.Fatal(err)
	}
}
