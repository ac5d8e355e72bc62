package dataplane

import (
	"context"
	"net"
	"sync"
)

// Link is what hangs on one flow of a client: its session, its dial, its connections. Cutting it ends all of that at once,
// whatever it is doing, and touches nothing else on a connection that is shared.
type Link struct {
	ctx     context.Context // ends with the cut, and with it a dial
	cancel  context.CancelFunc
	session *Session

	mu    sync.Mutex
	isCut bool
	ended bool
	parts []func()
}

// Context ends with the link.
func (l *Link) Context() context.Context { return l.ctx }

// Session is what Admit opened.
func (l *Link) Session() *Session { return l.session }

// Admit opens a session of a key for the link, as Ledger.Admit does. It is called once.
func (l *Link) Admit(ledger *Ledger, keyID int64) (err error) {
	l.session, err = ledger.Admit(keyID, l.Cut)
	return err
}

// Dial reaches a target for the link, as Egress.DialTCP does; a cut resets the connection. It fails with ErrEnded when the
// link was cut meanwhile.
func (l *Link) Dial(egress *Egress, to Target) (*net.TCPConn, error) {
	conn, err := egress.DialTCP(l.ctx, to)
	if err != nil {
		return nil, err
	}
	if !l.Attach(func() { Reset(conn) }) {
		return nil, ErrEnded
	}
	return conn, nil
}

// Attach adds something that a cut must end, and ends it now if the link was cut meanwhile.
func (l *Link) Attach(part func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		part()
		return false
	}
	l.parts = append(l.parts, part)
	return true
}

// Cut ends the link. It does not block.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut || l.ended {
		return
	}
	l.isCut = true
	l.cancel()
	for _, part := range l.parts {
		part()
	}
}

// IsCut reports whether the link was cut before it ended.
func (l *Link) IsCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isCut
}

// end makes a later cut harmless: what was attached may belong to somebody else by then.
func (l *Link) end() {
	l.mu.Lock()
	l.ended, l.parts = true, nil
	l.mu.Unlock()
	l.cancel()
	if l.session != nil {
		l.session.Done()
	}
}

// Reset closes a connection and drops what waits in the kernel, so that nothing arrives after a revocation.
func Reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// Links is what a plane carries, and how it ends: first nothing more is accepted, then every link ends or is cut.
type Links struct {
	mu      sync.Mutex
	open    map[*Link]struct{}
	isShut  bool
	shut    chan struct{} // closing began
	drained chan struct{} // closing, and no link is left
}

// NewLinks returns an empty list.
func NewLinks() *Links {
	return &Links{open: make(map[*Link]struct{}), shut: make(chan struct{}), drained: make(chan struct{})}
}

// Open adds a link that ends with ctx at the latest; nil once closing began. Leave must follow.
func (s *Links) Open(ctx context.Context) *Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isShut {
		return nil
	}
	l := &Link{}
	l.ctx, l.cancel = context.WithCancel(ctx)
	s.open[l] = struct{}{}
	return l
}

// Leave ends a link, with its session.
func (s *Links) Leave(l *Link) {
	l.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, l)
	if s.isShut && len(s.open) == 0 {
		close(s.drained)
	}
}

// Serve calls begin, which starts to accept, and returns when ctx ends or closing begins; begin is left out when it has
// begun already.
func (s *Links) Serve(ctx context.Context, begin func()) {
	s.mu.Lock()
	if !s.isShut {
		begin()
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-s.shut:
	}
}

// Close calls stop, which ends accepting, the first time, and waits until every link has left. When ctx ends, it cuts
// those that are left, and returns ctx's error.
func (s *Links) Close(ctx context.Context, stop func()) error {
	s.begin(stop)
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
	}
	if s.cut() == 0 {
		return nil
	}
	<-s.drained
	return context.Cause(ctx)
}

func (s *Links) begin(stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isShut {
		return
	}
	s.isShut = true
	close(s.shut)
	stop()
	if len(s.open) == 0 {
		close(s.drained)
	}
}

// cut cuts every link and returns how many there were.
func (s *Links) cut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.open {
		l.Cut()
	}
	return len(s.open)
}
