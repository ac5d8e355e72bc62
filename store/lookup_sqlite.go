package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// sqliteLookups answers questions on a connection of its own, by SQLite's C interface as the driver's package has it:
// database/sql and the driver take more for a row than SQLite does to find it. One goroutine at a time uses it.
type sqliteLookups struct {
	dialect       *dialect
	tls           *libc.TLS
	db            uintptr // sqlite3*
	room          uintptr // lookupRoom bytes of C's: pointers that come back, and the keys that are bound
	statements    map[*lookup]uintptr
	begin, commit uintptr
}

// lookupRoom is the room for what is handed to SQLite: the []byte of one key.
const lookupRoom = 256

// openSQLiteLookups opens a file that is there and migrated.
func openSQLiteLookups(_ context.Context, d *dialect, path string, _ *far) (_ lookupEngine, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	s := &sqliteLookups{dialect: d, tls: libc.NewTLS(), statements: make(map[*lookup]uintptr)}
	s.room = libc.Xmalloc(s.tls, lookupRoom)
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	name, err := libc.CString(path)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(s.tls, name)
	// Not to be made here, and without SQLite's mutex: there is one user.
	rc := sqlite3.Xsqlite3_open_v2(s.tls, name, s.room, sqlite3.SQLITE_OPEN_READWRITE|sqlite3.SQLITE_OPEN_NOMUTEX, 0)
	s.db = *(*uintptr)(at(s.room))
	if rc != sqlite3.SQLITE_OK {
		return nil, s.error(rc)
	}
	for _, text := range []string{
		"PRAGMA busy_timeout = 10000", "PRAGMA query_only = 1", "PRAGMA cache_size = -2048",
	} {
		if err := s.command(text); err != nil {
			return nil, err
		}
	}
	if s.begin, err = s.prepare("BEGIN"); err != nil {
		return nil, err
	}
	s.commit, err = s.prepare("COMMIT")
	return s, err
}

// at is C's memory as Go points to it. The conversion is spelt so because vet takes all others for mistakes, which they would
// be with memory of Go's.
func at(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// error is what SQLite says of a code.
func (s *sqliteLookups) error(rc int32) error {
	if s.db == 0 {
		return fmt.Errorf("look up: SQLite code %d", rc)
	}
	return fmt.Errorf("look up: %s (SQLite code %d)", libc.GoString(sqlite3.Xsqlite3_errmsg(s.tls, s.db)), rc)
}

// prepare returns the statement of a text.
func (s *sqliteLookups) prepare(text string) (uintptr, error) {
	c, err := libc.CString(text)
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(s.tls, c)
	if rc := sqlite3.Xsqlite3_prepare_v3(s.tls, s.db, c, -1, sqlite3.SQLITE_PREPARE_PERSISTENT, s.room, 0); rc != sqlite3.SQLITE_OK {
		return 0, s.error(rc)
	}
	return *(*uintptr)(at(s.room)), nil
}

// command runs a text once.
func (s *sqliteLookups) command(text string) error {
	stmt, err := s.prepare(text)
	if err != nil {
		return err
	}
	defer sqlite3.Xsqlite3_finalize(s.tls, stmt)
	return s.run(stmt)
}

// run runs a statement whose rows nobody wants.
func (s *sqliteLookups) run(stmt uintptr) error {
	rc := sqlite3.Xsqlite3_step(s.tls, stmt)
	for rc == sqlite3.SQLITE_ROW {
		rc = sqlite3.Xsqlite3_step(s.tls, stmt)
	}
	var err error
	if rc != sqlite3.SQLITE_DONE {
		err = s.error(rc)
	}
	sqlite3.Xsqlite3_reset(s.tls, stmt)
	return err
}

// answer implements lookupEngine. A group is one transaction: it takes the file's locks once.
func (s *sqliteLookups) answer(group []*question) (away error) {
	if len(group) > 1 {
		if err := s.run(s.begin); err != nil {
			for _, q := range group {
				q.err = err
			}
			return nil
		}
	}
	for _, q := range group {
		q.err = s.answerOne(q)
	}
	if len(group) > 1 {
		if err := s.run(s.commit); err != nil {
			_ = s.command("ROLLBACK") // nothing was written: the answers stand
		}
	}
	return nil
}

var errLookupKey = errors.New("look up: a key is made of int64 and at most 256 bytes")

func (s *sqliteLookups) answerOne(q *question) (err error) {
	stmt, ok := s.statements[q.lookup]
	if !ok {
		if stmt, err = s.prepare(s.dialect.text.Replace(q.lookup.text(s.dialect, 1))); err != nil {
			return err
		}
		s.statements[q.lookup] = stmt
	}
	if err := s.bind(stmt, q.key); err != nil {
		return err
	}
	defer sqlite3.Xsqlite3_reset(s.tls, stmt)
	row := sqliteRow{s.tls, stmt}
	for {
		switch rc := sqlite3.Xsqlite3_step(s.tls, stmt); rc {
		case sqlite3.SQLITE_ROW:
			if err := q.give(row); err != nil {
				return err
			}
		case sqlite3.SQLITE_DONE:
			return nil
		default:
			return s.error(rc)
		}
	}
}

// bind hands a key over. SQLite reads what is in the room until the statement is bound again.
func (s *sqliteLookups) bind(stmt uintptr, key []any) error {
	used := 0
	for i, part := range key {
		var rc int32
		switch part := part.(type) {
		case int64:
			rc = sqlite3.Xsqlite3_bind_int64(s.tls, stmt, int32(i+1), part)
		case []byte:
			if used+len(part) > lookupRoom {
				return errLookupKey
			}
			place := s.room + uintptr(used)
			used += copy(unsafe.Slice((*byte)(at(place)), len(part)), part)
			rc = sqlite3.Xsqlite3_bind_blob(s.tls, stmt, int32(i+1), place, int32(len(part)), 0)
		default:
			return errLookupKey
		}
		if rc != sqlite3.SQLITE_OK {
			return s.error(rc)
		}
	}
	return nil
}

func (s *sqliteLookups) close() error {
	for _, stmt := range s.statements {
		sqlite3.Xsqlite3_finalize(s.tls, stmt)
	}
	sqlite3.Xsqlite3_finalize(s.tls, s.begin) // nothing, for 0
	sqlite3.Xsqlite3_finalize(s.tls, s.commit)
	var err error
	if s.db != 0 {
		if rc := sqlite3.Xsqlite3_close_v2(s.tls, s.db); rc != sqlite3.SQLITE_OK {
			err = s.error(rc)
		}
	}
	libc.Xfree(s.tls, s.room)
	s.tls.Close()
	return err
}

// sqliteRow is the row that a statement is at.
type sqliteRow struct {
	tls  *libc.TLS
	stmt uintptr
}

// Scan copies the row.
func (r sqliteRow) Scan(dest ...any) error {
	if n := int(sqlite3.Xsqlite3_data_count(r.tls, r.stmt)); n != len(dest) {
		return fmt.Errorf("look up: %d columns for %d values", n, len(dest))
	}
	return assign(r, dest)
}

func (r sqliteRow) number(i int) int64 { return sqlite3.Xsqlite3_column_int64(r.tls, r.stmt, int32(i)) }

func (r sqliteRow) bytes(i int) []byte {
	p := sqlite3.Xsqlite3_column_blob(r.tls, r.stmt, int32(i)) // of a text, its bytes
	if p == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(at(p)), int(sqlite3.Xsqlite3_column_bytes(r.tls, r.stmt, int32(i))))
}
