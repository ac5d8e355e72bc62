package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"log/slog"
)

// open connects, migrates, checks the secret and starts the writer.
func (s *Store) open(ctx context.Context, toWrite, toRead driver.Connector, log *slog.Logger) error {
	forWriter, err := s.dialect.pool(ctx, toWrite, 1)
	if err != nil {
		return err
	}
	s.pools = append(s.pools, forWriter)
	if err := s.migrate(ctx, forWriter); err != nil {
		return err
	}
	forReaders, err := s.dialect.pool(ctx, toRead, s.dialect.readers)
	if err != nil {
		return err
	}
	s.pools = append(s.pools, forReaders)
	if err := s.openLookups(ctx); err != nil {
		return err
	}
	s.reader = reader{db: forReaders, text: s.dialect.text}
	if s.dialect.hasWater {
		if s.water, err = openHighWater(s.dsn); err != nil {
			return err
		}
	}
	s.writer = newWriter(context.WithoutCancel(ctx), s, forWriter, s.water, log)
	if err := s.checkSecret(ctx); err != nil {
		s.writer.close()
		return err
	}
	return nil
}

// errSecret says that the database's seeds cannot be opened.
var errSecret = errors.New("this database was sealed with another secret.key: put the one that it began with, which all its replicas share, into the data directory")

const sealCheck = "stile"

// checkSecret compares the secret with the one that the database began with. It writes before it reads, so that of two
// first starts with different secrets one is refused.
func (s *Store) checkSecret(ctx context.Context) error {
	return s.write(ctx, "check secret", func(t *tx) error {
		if _, err := t.exec(`
			INSERT INTO seal_check (id, sealed)
			VALUES (1, $1)
			ON CONFLICT (id) DO NOTHING`, s.seal([]byte(sealCheck), purposeCheck, 1)); err != nil {
			return err
		}
		var sealed []byte
		if err := t.row(`
			SELECT sealed
			FROM seal_check
			WHERE id = 1`).Scan(&sealed); err != nil {
			return err
		}
		if opened, err := s.unseal(sealed, purposeCheck, 1); err != nil || string(opened) != sealCheck {
			return errSecret
		}
		return nil
	})
}
