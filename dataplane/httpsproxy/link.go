package httpsproxy

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"stile/dataplane"
)

// link is what hangs on one admitted request. Cutting it ends that at once, whatever it is doing, and touches nothing
// else on a shared connection.
type link struct {
	session *dataplane.Session
	ctx     context.Context // ends with the cut, and with it a dial
	cancel  context.CancelFunc

	mu     sync.Mutex
	wasCut bool
	ended  bool
	parts  []func()
}

func newLink(ctx context.Context) *link {
	l := &link{}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l
}

// cut ends the link: it is what the ledger calls.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wasCut || l.ended {
		return
	}
	l.wasCut = true
	l.cancel()
	for _, part := range l.parts {
		part()
	}
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wasCut
}

// attach adds something that a cut must end, and ends it now if the link was cut meanwhile.
func (l *link) attach(part func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wasCut {
		part()
		return false
	}
	l.parts = append(l.parts, part)
	return true
}

// end makes a later cut harmless: net/http's writer of a request must not be touched when the request is over.
func (l *link) end() {
	l.mu.Lock()
	l.ended, l.parts = true, nil
	l.mu.Unlock()
	l.cancel()
	if l.session != nil {
		l.session.Done()
	}
}

// reset drops what waits in the kernel, so that nothing arrives after a revocation.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// past returns a deadline that has passed.
func past() time.Time { return time.Unix(1, 0) }

// abort ends a request of net/http: in HTTP/2 its stream alone.
func abort(control *http.ResponseController) {
	_ = control.SetReadDeadline(past())
	_ = control.SetWriteDeadline(past())
}

// dial reaches the target of a link.
func (p *Plane) dial(l *link, to dataplane.Target) (*net.TCPConn, error) {
	conn, err := p.egress.DialTCP(l.ctx, to)
	if err != nil {
		return nil, err
	}
	if !l.attach(func() { reset(conn) }) {
		return nil, dataplane.ErrEnded
	}
	return conn, nil
}
