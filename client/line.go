package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// recheckAfter is how long an answer to "is this key still mine?" is believed.
const recheckAfter = 30 * time.Second

// ErrSilent says that the account still holds the key and yet the server does not answer through it.
var ErrSilent = errors.New("client: the server does not answer, though the key is still valid")

// Refresh asks the API for the key of the same device and server again. An error that Refused reports as final ends
// the line; any other leaves it as it is.
type Refresh func(ctx context.Context) (key string, err error)

// Line is a Dialer that outlives its access key. A Shadowsocks server does not say that it refuses a key, it stays
// silent; an HTTPS proxy asks for another. So when a stream or socket looks dead (the server cannot be reached, ends it without a byte, breaks it off, or
// leaves it unanswered for ten seconds) the line asks for the key again, once in thirty seconds. A new key replaces the
// old one, and what ran through the old one ends; a refusal ends the line, and its reason is what every later dial
// returns.
//
// Run must be running for that; without it a Line is only its first tunnel.
type Line struct {
	refresh Refresh
	report  func(error)
	wake    chan struct{}

	mu        sync.Mutex
	key       string
	tunnel    Tunnel
	suspected Tunnel
	live      map[io.Closer]struct{}
	checkedAt time.Time
	checked   chan struct{} // closed when a check ends, then replaced
	running   bool
	err       error
}

// NewLine makes a line that begins with key. report hears of troubles that do not end the line (ErrSilent, a failed
// refresh); it is called from Run.
func NewLine(key string, refresh Refresh, report func(error)) (*Line, error) {
	tunnel, err := NewTunnel(key)
	if err != nil {
		return nil, err
	}
	return &Line{
		refresh: refresh,
		report:  report,
		wake:    make(chan struct{}, 1),
		key:     key,
		tunnel:  tunnel,
		live:    make(map[io.Closer]struct{}),
		checked: make(chan struct{}),
	}, nil
}

// Run checks the key whenever it looks dead, until ctx ends (nil) or the key is refused for good (the refusal). It runs
// once.
func (l *Line) Run(ctx context.Context) error {
	l.mu.Lock()
	l.running = true
	l.mu.Unlock()
	defer l.stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		}
		l.mu.Lock()
		due := l.doubts(l.suspected)
		l.mu.Unlock()
		if !due {
			continue
		}
		key, err := l.refresh(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := l.judge(key, err); err != nil {
			return err
		}
	}
}

// Address is the "host:port" of the server now in use.
func (l *Line) Address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tunnel.Address()
}

// DialContext opens a stream, as Dialer says. When the server cannot be reached it waits for the check of the key, and
// tries a new one.
func (l *Line) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, tunnel, err := dialThrough(ctx, l, func(t Tunnel) (net.Conn, error) {
		return t.DialContext(ctx, network, address)
	})
	if err != nil {
		return nil, err
	}
	s := &stream{Conn: conn, line: l, vigil: vigil{suspect: func() { l.suspect(tunnel) }}}
	s.vigil.heard.Store(tunnel.Confirms())
	if err := l.enter(tunnel, s); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// ListenPacket opens a socket, as Dialer says. The socket ends when the key is replaced.
func (l *Line) ListenPacket(ctx context.Context) (net.PacketConn, error) {
	conn, tunnel, err := dialThrough(ctx, l, func(t Tunnel) (net.PacketConn, error) { return t.ListenPacket(ctx) })
	if err != nil {
		return nil, err
	}
	s := &socket{PacketConn: conn, line: l, vigil: vigil{suspect: func() { l.suspect(tunnel) }}}
	if err := l.enter(tunnel, s); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return s, nil
}

// dialThrough opens something by the line's tunnel, and once more when the check that a failure causes brings another
// tunnel. It says by which tunnel.
func dialThrough[C any](ctx context.Context, l *Line, open func(Tunnel) (C, error)) (C, Tunnel, error) {
	var none C
	tunnel, err := l.current()
	if err != nil {
		return none, nil, err
	}
	conn, dialErr := open(tunnel)
	if dialErr == nil {
		return conn, tunnel, nil
	}
	if _, unserved := errors.AsType[*UnservedError](dialErr); unserved || ctx.Err() != nil {
		return none, nil, dialErr
	}
	select {
	case <-l.suspect(tunnel):
	case <-ctx.Done():
		return none, nil, dialErr
	}
	next, err := l.current()
	if err != nil {
		return none, nil, err
	}
	if next == tunnel {
		return none, nil, dialErr
	}
	conn, err = open(next)
	return conn, next, err
}

func (l *Line) current() (Tunnel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tunnel, l.err
}

// doubts reports, with mu held, whether a suspicion of tunnel deserves a check.
func (l *Line) doubts(tunnel Tunnel) bool {
	fresh := !l.checkedAt.IsZero() && time.Since(l.checkedAt) < recheckAfter
	return l.running && l.err == nil && tunnel == l.tunnel && !fresh
}

// suspect asks for a check of tunnel. The channel closes when that ends, at once when there is no need for one.
func (l *Line) suspect(tunnel Tunnel) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.doubts(tunnel) {
		never := make(chan struct{})
		close(never)
		return never
	}
	l.suspected = tunnel
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return l.checked
}

// judge takes in the answer of a refresh. Its error is final.
func (l *Line) judge(key string, err error) error {
	switch {
	case err != nil && Refused(err):
		return l.settle(l.key, l.tunnel, err)
	case err != nil:
		l.report(fmt.Errorf("client: asking for the key again: %w", err))
		return l.settle(l.key, l.tunnel, nil)
	case key == l.key:
		l.report(ErrSilent)
		return l.settle(l.key, l.tunnel, nil)
	}
	tunnel, err := NewTunnel(key)
	if err != nil {
		return l.settle(l.key, l.tunnel, err)
	}
	return l.settle(key, tunnel, nil)
}

// settle ends a check with its outcome: those who wait go on, and what ran through a tunnel that is no longer good is
// cut. It returns err.
func (l *Line) settle(key string, tunnel Tunnel, err error) error {
	l.mu.Lock()
	var cut []io.Closer
	if err != nil || tunnel != l.tunnel {
		for conn := range l.live {
			cut = append(cut, conn)
		}
		clear(l.live)
	}
	l.key, l.tunnel, l.suspected, l.err, l.checkedAt = key, tunnel, nil, err, time.Now()
	close(l.checked)
	l.checked = make(chan struct{})
	l.mu.Unlock()
	for _, conn := range cut {
		_ = conn.Close()
	}
	return err
}

// stop lets everyone go who waits for a check that will not come.
func (l *Line) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = false
	close(l.checked)
	l.checked = make(chan struct{})
}

// enter adds a connection to those that end with the tunnel; it fails when the tunnel was replaced meanwhile.
func (l *Line) enter(tunnel Tunnel, conn io.Closer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	if tunnel != l.tunnel {
		return errors.New("client: the key was replaced while connecting")
	}
	l.live[conn] = struct{}{}
	return nil
}

func (l *Line) leave(conn io.Closer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, conn)
}
