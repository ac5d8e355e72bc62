package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migration is one step of the schema: migrations/0001_name.sql has version 1.
type migration struct {
	version int64
	name    string
	text    string
}

// migrations returns the steps in the order of their versions, which have no gaps.
func migrations() ([]migration, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil, err
	}
	var steps []migration
	for i, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(path, "migrations/"), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil || version != int64(i)+1 {
			return nil, fmt.Errorf("migration %q is not number %d", name, i+1)
		}
		text, err := migrationFiles.ReadFile(path)
		if err != nil {
			return nil, err
		}
		steps = append(steps, migration{version: version, name: name, text: string(text)})
	}
	return steps, nil
}

// migrate brings the schema up to date, each step in its own transaction, also while another process does the same.
func (s *Store) migrate(ctx context.Context, db *sql.DB) error {
	steps, err := migrations()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if s.mustExist && s.dialect.soundness != "" {
		var answer string
		if err := conn.QueryRowContext(ctx, s.dialect.soundness).Scan(&answer); err != nil {
			return err
		}
		if answer != "ok" {
			return fmt.Errorf("the database is damaged: %s", answer)
		}
	}
	for {
		done, err := s.migrateOne(ctx, conn, steps)
		if done || err != nil {
			return err
		}
	}
}

// migrateOne looks where the schema stands and takes the next step, both under the lock of a write transaction. It
// reports whether there was none to take.
func (s *Store) migrateOne(ctx context.Context, conn *sql.Conn, steps []migration) (done bool, err error) {
	if _, err := conn.ExecContext(ctx, s.dialect.begin); err != nil {
		return false, err
	}
	defer func() {
		if err == nil {
			_, err = conn.ExecContext(ctx, "COMMIT")
		}
		if err != nil {
			_, rollbackErr := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			err = errors.Join(err, rollbackErr)
		}
	}()
	version, err := s.schemaVersion(ctx, conn)
	switch {
	case err != nil:
		return false, err
	case version == 0 && s.mustExist:
		return false, ErrForeign
	case version > int64(len(steps)):
		return false, fmt.Errorf("the database has schema %d, this program knows schemas up to %d: run the newer program, or put back a backup of before the upgrade with `stile restore`", version, len(steps))
	case version == int64(len(steps)):
		return true, nil
	}
	next := steps[version]
	if _, err := conn.ExecContext(ctx, s.dialect.text.Replace(next.text)); err != nil {
		return false, fmt.Errorf("migration %s: %w", next.name, err)
	}
	_, err = conn.ExecContext(ctx, `
		INSERT INTO schema_migrations (version, name, applied_at)
		VALUES ($1, $2, $3)`, next.version, next.name, s.now().UnixMilli())
	return false, err
}

// schemaVersion is the number of the last step taken, 0 in an empty database.
func (s *Store) schemaVersion(ctx context.Context, conn *sql.Conn) (int64, error) {
	if _, err := conn.ExecContext(ctx, s.dialect.migrating); err != nil {
		return 0, err
	}
	if s.dialect.fits != nil {
		if err := s.dialect.fits(ctx, conn); err != nil {
			return 0, err
		}
	}
	if _, err := conn.ExecContext(ctx, s.dialect.text.Replace(`
		CREATE TABLE IF NOT EXISTS schema_migrations (
			version    {{key}},
			name       TEXT NOT NULL,
			applied_at BIGINT NOT NULL
		)`)); err != nil {
		return 0, err
	}
	var version int64
	err := conn.QueryRowContext(ctx, `
		SELECT COALESCE(MAX(version), 0)
		FROM schema_migrations`).Scan(&version)
	return version, err
}
