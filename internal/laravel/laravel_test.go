package laravel

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/hex"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stile/store/storetest"
)

const tokenHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// dumped is what mysqldump writes, shortened: tables in the order of their names, comments that are instructions, strings
// with everything that may be in strings.
const dumped = `-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!50503 SET NAMES utf8mb4 */;
DROP TABLE IF EXISTS ` + "`orders`" + `;
CREATE TABLE ` + "`orders`" + ` (
  ` + "`id`" + ` bigint unsigned NOT NULL AUTO_INCREMENT,
  ` + "`note`" + ` text COLLATE utf8mb4_unicode_ci COMMENT 'a (note), with ; in it',
  PRIMARY KEY (` + "`id`" + `)
) ENGINE=InnoDB;
INSERT INTO ` + "`orders`" + ` VALUES (1,'x; INSERT INTO users VALUES (9)'),(2,_binary '\0\'\\');
CREATE TABLE ` + "`personal_access_tokens`" + ` (
  ` + "`id`" + ` bigint unsigned NOT NULL AUTO_INCREMENT,
  ` + "`tokenable_type`" + ` varchar(255) NOT NULL,
  ` + "`tokenable_id`" + ` bigint unsigned NOT NULL,
  ` + "`name`" + ` varchar(255) NOT NULL,
  ` + "`token`" + ` varchar(64) NOT NULL,
  ` + "`abilities`" + ` text,
  ` + "`last_used_at`" + ` timestamp NULL DEFAULT NULL,
  ` + "`expires_at`" + ` timestamp NULL DEFAULT NULL,
  ` + "`created_at`" + ` timestamp NULL DEFAULT NULL,
  ` + "`updated_at`" + ` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (` + "`id`" + `),
  UNIQUE KEY ` + "`personal_access_tokens_token_unique` (`token`)" + `
) ENGINE=InnoDB;
LOCK TABLES ` + "`personal_access_tokens`" + ` WRITE;
/*!40000 ALTER TABLE ` + "`personal_access_tokens`" + ` DISABLE KEYS */;
INSERT INTO ` + "`personal_access_tokens`" + ` VALUES
(7,'App\\Models\\User',42,'iPhone 12','` + tokenHash + `','[\"*\"]','2026-01-02 03:04:05',NULL,'2025-12-31 00:00:00',NULL),
(8,'App\\Models\\Team',1,'x','` + tokenHash + `','[]',NULL,NULL,NULL,NULL),
(9,'App\\Models\\User',42,'x','short','[]',NULL,NULL,NULL,NULL);
UNLOCK TABLES;
CREATE TABLE ` + "`users`" + ` (
  ` + "`id`" + ` bigint unsigned NOT NULL AUTO_INCREMENT,
  ` + "`name`" + ` varchar(255) NOT NULL,
  ` + "`email`" + ` varchar(255) NOT NULL,
  ` + "`email_verified_at`" + ` timestamp NULL DEFAULT NULL,
  ` + "`password`" + ` varchar(255) NOT NULL,
  ` + "`remember_token`" + ` varchar(100) DEFAULT NULL,
  ` + "`created_at`" + ` timestamp NULL DEFAULT NULL,
  ` + "`updated_at`" + ` timestamp NULL DEFAULT NULL,
  ` + "`deleted_at`" + ` timestamp NULL DEFAULT NULL,
  PRIMARY KEY (` + "`id`" + `)
) ENGINE=InnoDB;
INSERT INTO ` + "`users`" + ` VALUES (42,'Иван \'Ваня\' O''Neil','ivan@example.com','2026-01-01 00:00:00','$2y$10$abc',NULL,'2025-06-01 10:20:30','2025-06-02 00:00:00',NULL),(43,'','gone@example.com','0000-00-00 00:00:00','',NULL,NULL,NULL,'2026-02-02 00:00:00');
INSERT INTO ` + "`users` (`email`, `id`, `name`, `password`)" + ` VALUES ('second@example.com',44,'a\n\0b` + "\xff" + `',''),('x@example.com',-1,'','');
`

var (
	ivan = User{
		ID: 42, Name: "Иван 'Ваня' O'Neil", Email: "ivan@example.com", Password: "$2y$10$abc", VerifiedAt: date(2026, 1, 1),
		CreatedAt: time.Date(2025, 6, 1, 10, 20, 30, 0, time.UTC), UpdatedAt: date(2025, 6, 2),
	}
	phone = Token{
		ID: 7, UserID: 42, Name: "iPhone 12", Hash: hashOf(tokenHash), LastUsedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CreatedAt: date(2025, 12, 31),
	}
)

func date(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}

func hashOf(text string) (h [32]byte) {
	_, _ = hex.Decode(h[:], []byte(text))
	return h
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, from string) Application {
	t.Helper()
	a, err := Open(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// collect returns what was read and what was said of rows that could not be.
func collect[T any](t *testing.T, rows iter.Seq2[T, error]) (all []T, faults []string) {
	t.Helper()
	for v, err := range rows {
		if fault, ok := errors.AsType[*RowError](err); ok {
			faults = append(faults, fault.Error())
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all, faults
}

func TestDump(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte(dumped))
	_ = z.Close()
	for name, content := range map[string][]byte{"plain": []byte(dumped), "gzip": packed.Bytes()} {
		t.Run(name, func(t *testing.T) {
			a := open(t, write(t, content))
			users, faults := collect(t, a.Users(t.Context()))
			want := []User{ivan, {ID: 44, Name: "a\nb\ufffd", Email: "second@example.com"}}
			if !slices.Equal(users, want) {
				t.Errorf("users: %+v", users)
			}
			if !slices.Equal(faults, []string{"users 43: was deleted in the application", "users -1: id is no positive number"}) {
				t.Errorf("faults: %q", faults)
			}
			tokens, faults := collect(t, a.Tokens(t.Context()))
			if !slices.Equal(tokens, []Token{phone}) {
				t.Errorf("tokens: %+v", tokens)
			}
			if !slices.Equal(faults, []string{
				`personal_access_tokens 8: belongs to a "App\\Models\\Team", not to a user`,
				"personal_access_tokens 9: token is not the hex of a SHA-256",
			}) {
				t.Errorf("faults: %q", faults)
			}
			if left := a.Left(); !slices.Equal(left, []string{
				"orders", "personal_access_tokens.abilities", "personal_access_tokens.updated_at", "users.remember_token",
			}) {
				t.Errorf("left: %q", left)
			}
			if p := a.Progress(); p != 1 {
				t.Errorf("progress at the end: %v", p)
			}
		})
	}
}

func TestBrokenDump(t *testing.T) {
	create := dumped[strings.Index(dumped, "CREATE TABLE `users`"):strings.Index(dumped, "INSERT INTO `users`")]
	for content, want := range map[string]string{
		"":                       `holds no table "users"`,
		"a text of another kind": `holds no table "users"`,
		create + "INSERT INTO `users` VALUES (1,'":                                         "line 13: unexpected EOF",
		create + "INSERT INTO `users` VALUES (1,2,3,4,5,6,7,8,9,10);":                      "more values than the table columns",
		create + "INSERT INTO `users` VALUES (1,(2));":                                     errSyntax.Error(),
		create + "INSERT INTO `users` SELECT 1;":                                           errSyntax.Error(),
		"INSERT INTO users VALUES (1);":                                                    errSyntax.Error(),
		create + "INSERT INTO users VALUES (1,'" + strings.Repeat("x", maxValue+1) + "');": errTooLong.Error(),
	} {
		var last error
		for _, err := range open(t, write(t, []byte(content))).Users(t.Context()) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("%.60q…: %v, want %q", content, last, want)
		}
	}
	// One byte below the bound is read.
	content := create + "INSERT INTO users VALUES (1,'" + strings.Repeat("x", maxValue) + "');"
	if users, _ := collect(t, open(t, write(t, []byte(content))).Users(t.Context())); len(users) != 1 || len(users[0].Name) != maxValue {
		t.Error("a value of 64 KiB is not read")
	}
}

// databases are Laravel's tables as its migrations make them, with the rows of the dump.
func TestDatabases(t *testing.T) {
	path := filepath.Join(t.TempDir(), "database.sqlite")
	for name, c := range map[string]struct{ driver, dsn, from, timestamp string }{
		"SQLite":     {"sqlite", path, path, "datetime"},
		"PostgreSQL": {"pgx", storetest.Postgres(t), "", "timestamp(0) without time zone"},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := sql.Open(c.driver, c.dsn)
			if err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{
				"CREATE TABLE migrations (id integer)",
				"CREATE TABLE users (id bigint primary key, name varchar(255) not null, email varchar(255) not null, email_verified_at " + c.timestamp +
					", password varchar(255) not null, remember_token varchar(100), created_at " + c.timestamp + ", updated_at " + c.timestamp + ")",
				"CREATE TABLE personal_access_tokens (id bigint primary key, tokenable_type varchar(255), tokenable_id bigint, name varchar(255), token varchar(64), abilities text, last_used_at " +
					c.timestamp + ", expires_at " + c.timestamp + ", created_at " + c.timestamp + ", updated_at " + c.timestamp + ")",
				"INSERT INTO users VALUES (42, 'Иван ''Ваня'' O''Neil', 'ivan@example.com', '2026-01-01 00:00:00', '$2y$10$abc', NULL, '2025-06-01 10:20:30', '2025-06-02 00:00:00')",
				`INSERT INTO personal_access_tokens VALUES (7, 'App\Models\User', 42, 'iPhone 12', '` + tokenHash + `', '["*"]', '2026-01-02 03:04:05', NULL, '2025-12-31 00:00:00', NULL)`,
			} {
				if _, err := db.Exec(statement); err != nil {
					t.Fatalf("%s: %v", statement, err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			a := open(t, max(c.from, c.dsn))
			users, faults := collect(t, a.Users(t.Context()))
			if !slices.Equal(users, []User{ivan}) || len(faults) > 0 {
				t.Errorf("users: %+v, %q", users, faults)
			}
			tokens, faults := collect(t, a.Tokens(t.Context()))
			if !slices.Equal(tokens, []Token{phone}) || len(faults) > 0 {
				t.Errorf("tokens: %+v, %q", tokens, faults)
			}
			if left := a.Left(); !slices.Equal(left, []string{"migrations", "personal_access_tokens.abilities", "personal_access_tokens.updated_at", "users.remember_token"}) {
				t.Errorf("left: %q", left)
			}
			if a.Progress() != 1 {
				t.Errorf("progress at the end: %v", a.Progress())
			}
		})
	}
}

func TestNoApplication(t *testing.T) {
	for _, from := range []string{filepath.Join(t.TempDir(), "none.sql"), "postgres://127.0.0.1:1/none", t.TempDir()} {
		if a, err := Open(t.Context(), from); err == nil {
			t.Errorf("%s is opened", from)
			_ = a.Close()
		}
	}
	path := filepath.Join(t.TempDir(), "other.sqlite")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE other (id integer)"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	for _, err := range open(t, path).Users(t.Context()) {
		if !errors.Is(err, ErrNoTable) {
			t.Errorf("another application's database: %v", err)
		}
	}
}

func FuzzDump(f *testing.F) {
	f.Add([]byte(dumped))
	f.Add([]byte("INSERT INTO users (id) VALUES (1),(2);"))
	f.Add([]byte("/*"))
	f.Fuzz(func(_ *testing.T, content []byte) {
		for _, table := range []string{usersTable, tokensTable} {
			p := newParser(bytes.NewReader(content), table, map[string]bool{})
			for {
				r, err := p.next()
				if err != nil {
					break
				}
				_, _ = r.user()
				_, _ = r.token()
			}
		}
	})
}
