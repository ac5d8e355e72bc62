// Package laravel reads the accounts of a Laravel application: the table "users", and the table "personal_access_tokens"
// of its package Sanctum, from a mysqldump file, an SQLite file or a PostgreSQL database.
//
// It reads and checks the form of what it reads; what becomes of an account is not its business.
package laravel

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// User is a row of "users". Instants are UTC, zero when the application knows none.
type User struct {
	ID         int64
	Name       string
	Email      string
	Password   string // as hashed by PHP's password_hash
	VerifiedAt time.Time
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Token is a row of "personal_access_tokens" that belongs to a user.
type Token struct {
	ID         int64
	UserID     int64
	Name       string
	Hash       [32]byte // SHA-256 of what follows the bar of the token
	LastUsedAt time.Time
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero = never
}

// RowError says why a row cannot be an account or a token. Reading goes on behind it.
type RowError struct {
	Table string
	ID    string // as the row has it
	Why   string
}

// Error names the row and the reason.
func (e *RowError) Error() string { return fmt.Sprintf("%s %s: %s", e.Table, e.ID, e.Why) }

// Application is where the accounts are read from.
type Application interface {
	// Users yields every row of "users". A *RowError is about one row; any other error ends the sequence.
	Users(ctx context.Context) iter.Seq2[User, error]
	// Tokens yields every row of "personal_access_tokens", as Users does.
	Tokens(ctx context.Context) iter.Seq2[Token, error]
	// Progress is how much of the running sequence is read, 0 to 1.
	Progress() float64
	// Left names what is there and not read, as table or table.column, as far as the sequences have seen it.
	Left() []string
	// Close ends the connections.
	Close() error
}

const (
	usersTable  = "users"
	tokensTable = "personal_access_tokens"
)

// columns are those that are read of each table. The first is the one that rows are named by.
var columns = map[string][]string{
	usersTable:  {"id", "name", "email", "password", "email_verified_at", "created_at", "updated_at", "deleted_at"},
	tokensTable: {"id", "tokenable_type", "tokenable_id", "name", "token", "last_used_at", "created_at", "expires_at"},
}

// ErrNoTable says that a table is missing, or one of the columns that nothing goes without.
var ErrNoTable = errors.New("laravel: not the tables of a Laravel application")

// field is a value of a row.
type field struct {
	text   string
	isNull bool
}

// row is a row by the names of its columns. A column that the table has not reads as NULL.
type row struct {
	table  string
	fields map[string]field
	err    error // the first fault
}

func (r *row) fail(why string) {
	if r.err == nil {
		r.err = &RowError{Table: r.table, ID: r.text("id"), Why: why}
	}
}

// text is a value as every database takes it: UTF-8 without NUL, which PostgreSQL refuses with all rows beside it.
func (r *row) text(column string) string {
	if f, ok := r.fields[column]; ok && !f.isNull {
		return strings.ToValidUTF8(strings.ReplaceAll(f.text, "\x00", ""), "\ufffd")
	}
	return ""
}

func (r *row) id(column string) int64 {
	id, err := strconv.ParseInt(r.text(column), 10, 64)
	if err != nil || id <= 0 {
		r.fail(column + " is no positive number")
	}
	return id
}

// layouts of instants: MySQL and SQLite write the first, PostgreSQL's driver the others. Laravel keeps UTC.
var layouts = []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05.999999999", time.RFC3339Nano, "2006-01-02"}

func (r *row) instant(column string) time.Time {
	text := r.text(column)
	if text == "" || strings.HasPrefix(text, "0000-00-00") { // MySQL's zero date
		return time.Time{}
	}
	for _, layout := range layouts {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC()
		}
	}
	r.fail(column + " is no date")
	return time.Time{}
}

func (r *row) user() (User, error) {
	u := User{
		ID: r.id("id"), Name: r.text("name"), Email: r.text("email"), Password: r.text("password"),
		VerifiedAt: r.instant("email_verified_at"), CreatedAt: r.instant("created_at"), UpdatedAt: r.instant("updated_at"),
	}
	if !r.instant("deleted_at").IsZero() {
		r.fail("was deleted in the application")
	}
	return u, r.err
}

func (r *row) token() (Token, error) {
	t := Token{
		ID: r.id("id"), UserID: r.id("tokenable_id"), Name: r.text("name"), LastUsedAt: r.instant("last_used_at"),
		CreatedAt: r.instant("created_at"), ExpiresAt: r.instant("expires_at"),
	}
	if kind := r.text("tokenable_type"); kind != "user" && kind != "users" && !strings.HasSuffix(kind, `\User`) {
		r.fail("belongs to a " + strconv.Quote(kind) + ", not to a user")
	}
	if n, err := hex.Decode(t.Hash[:], []byte(hexOf(r.text("token"), len(t.Hash)))); err != nil || n != len(t.Hash) {
		r.fail("token is not the hex of a SHA-256")
	}
	return t, r.err
}

// hexOf returns a text of exactly so many bytes in hex, or one that decodes to nothing.
func hexOf(text string, size int) string {
	if len(text) != hex.EncodedLen(size) {
		return "?"
	}
	return text
}
