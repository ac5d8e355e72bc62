package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"stile/vpn"
)

// What a server on another machine is waited for. All of it is far above what a busy one takes.
const (
	// connectWait bounds an attempt to connect to one address, unless the DSN says otherwise (connect_timeout).
	connectWait = 3 * time.Second
	// lookupWait bounds the silence of a server that is asked a look-up; also that of a host which acknowledges nothing.
	lookupWait = 5 * time.Second
	// readWait bounds the silence of a server over any other query: also one over many rows.
	readWait = 10 * time.Second
	// awayFor is how long after a vain attempt to connect nobody waits for another.
	awayFor = time.Second
)

// maxWaiting bounds who waits for look-ups, and who waits to write: one more is told so at once.
const maxWaiting = 8192

// errCrowd is the answer to one too many.
var errCrowd = fmt.Errorf("%d wait for the database already: %w", maxWaiting, vpn.ErrUnavailable)

// dialFar connects so that a host which has vanished without a word is noticed, also by who only listens.
func dialFar(timeout time.Duration) pgconn.DialFunc {
	d := &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: lookupWait, Interval: time.Second, Count: 5},
		Control:         giveUpUnacknowledged,
	}
	return d.DialContext
}

// impatiently makes a configuration's connections give up a server that is silent for so long after it was asked.
func impatiently(config *pgconn.Config, within time.Duration) {
	config.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		return &impatient{Conn: conn, within: within}, nil
	}
}

// readingConnector connects the pool of readers. What has been idle for a second is proved to work before it is used, and for that a
// server has no longer than for a new connection.
func readingConnector(config *pgx.ConnConfig) driver.Connector {
	config = config.Copy()
	impatiently(&config.Config, readWait)
	wait := func(conn *pgx.Conn, within time.Duration) {
		if line, ok := conn.PgConn().Conn().(*impatient); ok {
			line.set(within)
		}
	}
	return stdlib.GetConnector(*config,
		stdlib.OptionShouldPing(func(_ context.Context, p stdlib.ShouldPingParams) bool {
			wait(p.Conn, connectWait)
			return p.IdleDuration > time.Second
		}),
		stdlib.OptionResetSession(func(_ context.Context, conn *pgx.Conn) error { // comes after that
			wait(conn, readWait)
			return nil
		}))
}

// impatient is a connection whose every Read and Write has a deadline of its own: that of the socket, which costs no timer and
// no goroutine for each query, as a context would.
type impatient struct {
	net.Conn
	mu      sync.Mutex
	within  time.Duration
	isFixed bool // somebody set a deadline, which holds until it is taken back
}

func (c *impatient) Read(b []byte) (int, error) {
	if err := c.extend(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *impatient) Write(b []byte) (int, error) {
	if err := c.extend(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *impatient) extend() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isFixed {
		return nil
	}
	return c.Conn.SetDeadline(time.Now().Add(c.within))
}

func (c *impatient) set(within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.within = within
}

// SetDeadline is how the driver ends a query whose context ended.
func (c *impatient) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isFixed = !t.IsZero()
	return c.Conn.SetDeadline(t)
}

// far is how one server is connected to. It remembers for a moment that the server did not answer: of many who would wait for it
// few do.
type far struct {
	mu    sync.Mutex
	err   error
	until time.Time
}

// connect makes a connection by f, or fails as it did just before.
func (f *far) connect(ctx context.Context, config *pgconn.Config, connect func() error) error {
	f.mu.Lock()
	err, isAway := f.err, time.Now().Before(f.until)
	f.mu.Unlock()
	if isAway {
		return err
	}
	if err = connect(); err == nil {
		return nil
	}
	err = newUnreached(config, err)
	if isVain(err) && ctx.Err() == nil { // the caller's own time was not up
		f.mu.Lock()
		defer f.mu.Unlock()
		f.err, f.until = err, time.Now().Add(awayFor)
	}
	return err
}

// farConnector connects the pools.
type farConnector struct {
	driver.Connector
	far    *far
	config *pgconn.Config
}

// Connect implements driver.Connector.
func (c farConnector) Connect(ctx context.Context) (conn driver.Conn, err error) {
	err = c.far.connect(ctx, c.config, func() (err error) {
		conn, err = c.Connector.Connect(ctx)
		return err
	})
	return conn, err
}

// isVain reports that an answer was waited for in vain.
func isVain(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// isAway reports that the server is out of reach, or that it ended the connection.
func isAway(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "57P") // ended by an operator, by a crash or by a limit of time; starting
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, pgconn.ErrConnClosed) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone)
}

// unavailable is vpn.ErrUnavailable for what failed because the server is away and changed nothing.
func unavailable(err error) error {
	if err == nil || !isAway(err) || errors.Is(err, vpn.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", vpn.ErrUnavailable, err)
}
