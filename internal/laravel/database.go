package laravel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"
)

// Open opens an application by where its data is: a postgres:// address, an SQLite file, or a file of mysqldump.
func Open(ctx context.Context, from string) (Application, error) {
	if strings.HasPrefix(from, "postgres://") || strings.HasPrefix(from, "postgresql://") {
		return openDatabase(ctx, "pgx", from, `
			SELECT table_name
			FROM information_schema.tables
			WHERE table_schema = current_schema()`)
	}
	isSQLite, err := hasSQLiteHeader(from)
	if err != nil {
		return nil, err
	}
	if !isSQLite {
		return openDump(from)
	}
	path, err := filepath.Abs(from)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "mode=ro"}
	return openDatabase(ctx, "sqlite", u.String(), `
		SELECT name
		FROM sqlite_master
		WHERE type = 'table'
			AND name NOT LIKE 'sqlite_%'`)
}

func hasSQLiteHeader(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 16)
	_, err = io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return string(head) == "SQLite format 3\x00", err
}

// database is an application's live database. It is only read.
type database struct {
	db          *sql.DB
	left        map[string]bool
	read, count int64 // rows of the running sequence
}

func openDatabase(ctx context.Context, driver, dsn, tables string) (*database, error) {
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return nil, errors.New("laravel: the address of the database cannot be read") // what was given may hold a password
	}
	d := &database{db: db, left: map[string]bool{}}
	if err := d.look(ctx, tables); err != nil {
		return nil, errors.Join(fmt.Errorf("laravel: %w", err), db.Close())
	}
	return d, nil
}

// look notes the tables that are not read.
func (d *database) look(ctx context.Context, tables string) error {
	rows, err := d.db.QueryContext(ctx, tables)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if _, isOurs := columns[name]; !isOurs {
			d.left[name] = true
		}
	}
	return rows.Err()
}

// Users implements Application.
func (d *database) Users(ctx context.Context) iter.Seq2[User, error] {
	return rowsAs(d.rows(ctx, usersTable), (*row).user)
}

// Tokens implements Application.
func (d *database) Tokens(ctx context.Context) iter.Seq2[Token, error] {
	return rowsAs(d.rows(ctx, tokensTable), (*row).token)
}

// Progress implements Application.
func (d *database) Progress() float64 {
	if d.count == 0 {
		return 0
	}
	return float64(d.read) / float64(d.count)
}

// Left implements Application.
func (d *database) Left() []string { return slices.Sorted(maps.Keys(d.left)) }

// Close implements Application.
func (d *database) Close() error { return d.db.Close() }

// rows yields the rows of a table, in the order of their ids.
func (d *database) rows(ctx context.Context, table string) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		d.read = 0
		if err := d.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+table).Scan(&d.count); err != nil {
			yield(nil, fmt.Errorf("%w: %s: %w", ErrNoTable, table, err))
			return
		}
		rows, err := d.db.QueryContext(ctx, "SELECT * FROM "+table+" ORDER BY id") //nolint:gosec // one of two constants
		if err != nil {
			yield(nil, fmt.Errorf("%w: %s: %w", ErrNoTable, table, err))
			return
		}
		defer rows.Close()
		names, err := rows.Columns()
		if err != nil {
			yield(nil, err)
			return
		}
		for _, name := range names {
			if !slices.Contains(columns[table], name) {
				d.left[table+"."+name] = true
			}
		}
		values, places := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		for rows.Next() {
			d.read++
			r := &row{table: table, fields: make(map[string]field, len(names))}
			err := rows.Scan(places...)
			for i, v := range values {
				r.fields[names[i]] = field{text: v.String, isNull: !v.Valid}
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(nil, err)
		}
	}
}
