package store

import (
	"context"
	"crypto/cipher"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stile/vpn"
)

// ErrClosed is returned by writes to a store that is closed or closing.
var ErrClosed = errors.New("store: closed")

// ErrForeign says that a database holds nothing of Stile's.
var ErrForeign = errors.New("it is empty, or no database of Stile's")

// Config says which database to open.
type Config struct {
	// DSN is the path of an SQLite file, made when it does not exist, or a postgres:// address.
	DSN string
	// MustExist refuses a database that holds nothing of Stile's (ErrForeign), and an SQLite file that is damaged.
	MustExist bool
	// Secret seals the seeds. It belongs to one database and is kept outside of it.
	Secret [32]byte
	// Now is the clock, one reading a transaction; nil = time.Now.
	Now func() time.Time
	// Observe is told of each group of writes how many there were and how long their transactions took; nil = nobody.
	Observe func(writes int, took time.Duration)
	// Log is told of what no caller learns, such as a lost connection of the writer; nil = nothing.
	Log *slog.Logger
}

// Store is a vpn.Store on a database.
type Store struct {
	dialect *dialect
	dsn     string
	// mustExist is Config.MustExist.
	mustExist bool
	away      *far       // the server, where it is a far one
	water     *highWater // nil where there is none
	now       func() time.Time
	aead      cipher.AEAD
	doors     doors
	reader    reader
	// lookups reads what requests ask all the time, past the pool.
	lookups  *lookups
	writer   *writer
	observe  func(writes int, took time.Duration)
	pools    []*sql.DB
	settling struct {
		sync.Mutex
		settling
	}
	// replicas is nil where no other process can serve the same database.
	replicas *replicas
}

var _ vpn.Store = (*Store)(nil)

// Open opens the database and brings its schema up to date. Two processes may open the same one at once. It refuses a
// database whose schema is newer than this program, and one whose seeds were sealed with another secret.
func Open(ctx context.Context, c Config) (*Store, error) {
	away := new(far)
	d, toWrite, toRead, err := engine(c.DSN, away)
	if err != nil {
		return nil, fmt.Errorf("store: open: %w", err)
	}
	s := &Store{dialect: d, dsn: c.DSN, away: away, mustExist: c.MustExist, now: c.Now, aead: newAEAD(c.Secret), doors: doors{secret: c.Secret}, observe: c.Observe}
	if s.observe == nil {
		s.observe = func(int, time.Duration) {}
	}
	if s.now == nil {
		s.now = time.Now
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	err = s.open(ctx, toWrite, toRead, log)
	if err == nil && d.hasPeers {
		err = s.openReplicas(c.DSN, log)
	}
	if err != nil {
		if c, isFar := toWrite.(farConnector); isFar {
			err = c.explained(err)
		}
		if s.lookups != nil {
			_ = s.lookups.close()
		}
		for _, db := range s.pools {
			_ = db.Close()
		}
		if s.water != nil {
			_ = s.water.close()
		}
		if d.hasWater && d.isFull(err) { // a file of ours; PostgreSQL names what it lacks
			err = fmt.Errorf("%w: the database's disk is full, fails, or may not be written", err)
		}
		if d.isDamaged != nil && d.isDamaged(err) {
			err = fmt.Errorf("%w: %s is damaged, or no database: put a backup in its place by `stile restore FILE`", err, c.DSN)
		}
		return nil, fmt.Errorf("store: open %s: %w", d.name, err)
	}
	return s, nil
}

// Close lets the writes end that have begun, answers waiting ones with ErrClosed, and closes the connections.
func (s *Store) Close() error {
	s.writer.close()
	errs := []error{s.lookups.close()}
	for _, db := range s.pools {
		errs = append(errs, db.Close())
	}
	if s.water != nil {
		errs = append(errs, s.water.close())
	}
	return errors.Join(errs...)
}

// Queued is how many writes wait for their group.
func (s *Store) Queued() int { return len(s.writer.queue) }

// Ping reports whether the database answers a query.
func (s *Store) Ping(ctx context.Context) error {
	var one int
	if err := s.pools[1].QueryRowContext(ctx, "SELECT 1").Scan(&one); err != nil {
		return fmt.Errorf("store: ping: %w", err)
	}
	return nil
}
