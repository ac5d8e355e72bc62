package shadowsocks

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"stile/dataplane"
)

// Bounds of UDP associations and of names that are being resolved for them.
const (
	maxAssociations       = 16384
	maxAssociationsPerKey = 512
	maxResolving          = 64
	maxResolvingPerKey    = 8
	// picked is how many associations are looked at to find one that makes room in a full table.
	picked = 32
)

// portDNS is the port whose associations are short.
const portDNS = 53

// replyStart is where the payload of a reply is read to, behind room for what either edition puts before it; replySize is
// how much of it fits a datagram (65,507 bytes over IPv4) with that and the tag.
const (
	replyStart = max(saltSize+maxSource, replyHead2022+maxSource)
	replySize  = 65507 - replyStart - tagSize
)

// clientKey is a client's socket, seen at one of our ports.
type clientKey struct {
	addr   netip.AddrPort
	bucket int
}

// flowName names an association: in AEAD-2018 by the client's socket alone, in AEAD-2022 by the key and the client's session.
type flowName struct {
	client    clientKey
	keyID     int64
	sessionID [8]byte
}

// associations is the plane's NAT table.
type associations struct {
	plane         *server
	total, perKey int
	began         time.Time     // times are counted from here, whatever the wall clock is set to
	resolving     chan struct{} // a place for each name that is being resolved
	running       sync.WaitGroup

	mu     sync.Mutex
	byName map[flowName]*association
	byKey  map[int64][]*association // oldest first
	asking map[int64]int            // names that are being resolved for a key
}

func newAssociations(p *server) *associations {
	return &associations{
		plane: p, total: maxAssociations, perKey: maxAssociationsPerKey, began: time.Now(), resolving: make(chan struct{}, maxResolving),
		byName: make(map[flowName]*association), byKey: make(map[int64][]*association), asking: make(map[int64]int),
	}
}

// association is one client socket of one key with the egress socket that stands for it; any remote may answer there.
type association struct {
	table   *associations
	name    flowName
	keyID   int64
	packets packets
	session *dataplane.Session
	out     *dataplane.UDPConn
	client  atomic.Pointer[peer]
	ctx     context.Context // ends with the association
	cancel  context.CancelFunc
	until   atomic.Int64 // a time.Duration from the table's beginning: when it ends if the client stays silent
	sentAt  atomic.Int64 // likewise: when the client was last heard
}

// silence is for how long the client was not heard.
func (a *association) silence() time.Duration {
	return time.Since(a.table.began) - time.Duration(a.sentAt.Load())
}

// peer is where replies go: a client's socket, and the port that it talks to.
type peer struct {
	addr netip.AddrPort
	conn *net.UDPConn
}

// packets is what an edition keeps of an association.
type packets interface {
	// seal turns a reply of n bytes at replyStart into the packet for the client, in place.
	seal(b []byte, n int, from netip.AddrPort) []byte
	// forget is called when the association is out of the table, unless it was cut within times.remember of its last packet.
	forget()
}

// serveUDP reads packets until the socket closes.
func (p *server) serveUDP(conn *net.UDPConn, bucket int) {
	packet := make([]byte, 1<<16)
	plain := make([]byte, 1<<16)
	for {
		n, addr, err := conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) { // handed over
			return
		}
		if err != nil {
			p.failures.Wait("shadowsocks: receive", err)
			continue
		}
		p.take(conn, clientKey{addr, bucket}, packet[:n], plain[:0])
	}
}

// take takes one packet. A panic over it drops it.
func (p *server) take(conn *net.UDPConn, client clientKey, packet, dst []byte) {
	defer p.failures.Contain(func() {})
	p.edition.receive(conn, client, packet, dst)
}

// find returns an association, or nil.
func (t *associations) find(name flowName) *association {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byName[name]
}

// open admits and registers an association, or returns nil. If another goroutine was first with the name, it returns what that
// one registered.
func (t *associations) open(name flowName, keyID int64, client *peer, of packets) *association {
	if !t.makeRoom(keyID) {
		return nil
	}
	out, err := t.plane.egress.ListenUDP()
	if err != nil {
		return nil
	}
	a := &association{table: t, name: name, keyID: keyID, packets: of, out: out}
	a.sentAt.Store(int64(time.Since(t.began)))
	a.client.Store(client)
	a.ctx, a.cancel = context.WithCancel(t.plane.ctx)
	a.session, err = t.plane.ledger.Admit(keyID, a.cut)
	if err != nil {
		a.cut()
		return nil
	}
	if first := t.register(a); first != a {
		a.close()
		return first
	}
	t.running.Go(a.receive)
	return a
}

// register adds an association and returns it, or the one that has its name already.
func (t *associations) register(a *association) *association {
	t.mu.Lock()
	defer t.mu.Unlock()
	if first := t.byName[a.name]; first != nil {
		return first
	}
	t.byName[a.name] = a
	t.byKey[a.keyID] = append(t.byKey[a.keyID], a)
	return a
}

// makeRoom ends the longest silent association of a key that has as many as it may, or, when the table is full, of one that has
// many. It reports false if none may be forgotten yet.
func (t *associations) makeRoom(keyID int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	own := t.byKey[keyID]
	if len(own) < t.perKey {
		if len(t.byName) < t.total {
			return true
		}
		own = t.crowd()
	}
	if len(own) == 0 {
		return false
	}
	silent := slices.MinFunc(own, func(a, b *association) int { return cmp.Compare(a.sentAt.Load(), b.sentAt.Load()) })
	if silent.silence() < t.plane.times.remember {
		return false
	}
	t.remove(silent)
	silent.close()
	return true
}

// crowd returns the associations of the key that has most, of those of some that are picked at random and may be forgotten. So
// a few keys cannot keep the others out. The caller holds the lock.
func (t *associations) crowd() (most []*association) {
	var of *association
	seen := 0
	for _, a := range t.byName {
		if own := t.byKey[a.keyID]; a.silence() >= t.plane.times.remember &&
			(len(own) > len(most) || len(own) == len(most) && a.sentAt.Load() < of.sentAt.Load()) {
			of, most = a, own
		}
		if seen++; seen == picked {
			break
		}
	}
	return most
}

// remove takes an association out of the table; the caller holds the lock.
func (t *associations) remove(a *association) {
	if t.byName[a.name] == a {
		delete(t.byName, a.name)
		if a.silence() >= t.plane.times.remember {
			a.packets.forget()
		}
	}
	own := t.byKey[a.keyID]
	if i := slices.Index(own, a); i >= 0 {
		if own = slices.Delete(own, i, i+1); len(own) == 0 {
			delete(t.byKey, a.keyID)
		} else {
			t.byKey[a.keyID] = own
		}
	}
}

// close ends all associations and waits for them. No packet may arrive any more.
func (t *associations) close() {
	t.mu.Lock()
	for _, a := range t.byName {
		a.close()
	}
	t.mu.Unlock()
	t.running.Wait()
}

// end removes and closes an association.
func (a *association) end() {
	a.table.mu.Lock()
	a.table.remove(a)
	a.table.mu.Unlock()
	a.close()
}

// close ends the session and the socket, and with it receive.
func (a *association) close() {
	a.session.Done()
	a.cut()
}

// cut is close without the session: what the ledger calls.
func (a *association) cut() {
	a.cancel()
	_ = a.out.Close()
}

// send sends a payload to a target; a name is resolved first, on another goroutine, within bounds.
func (a *association) send(to dataplane.Target, payload []byte) {
	if to.Name == "" {
		a.sendTo(netip.AddrPortFrom(to.Addr, to.Port), payload)
		return
	}
	if !a.table.ask(a.keyID) {
		return
	}
	payload = slices.Clone(payload)
	a.table.running.Go(func() {
		defer a.table.asked(a.keyID)
		defer a.table.plane.failures.Contain(a.cut)
		if addrs, err := a.table.plane.egress.Resolve(a.ctx, to); err == nil {
			a.sendTo(netip.AddrPortFrom(addrs[0], to.Port), payload)
		}
	})
}

// ask reports whether one more name may be resolved for a key, now or not at all; asked must follow.
func (t *associations) ask(keyID int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asking[keyID] >= maxResolvingPerKey {
		return false
	}
	select {
	case t.resolving <- struct{}{}:
		t.asking[keyID]++
		return true
	default:
		return false
	}
}

func (t *associations) asked(keyID int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	<-t.resolving
	if t.asking[keyID]--; t.asking[keyID] == 0 {
		delete(t.asking, keyID)
	}
}

func (a *association) sendTo(to netip.AddrPort, payload []byte) {
	if !a.table.plane.egress.Permits(to) || !a.session.TryUp(len(payload)) {
		return
	}
	now := time.Since(a.table.began)
	a.sentAt.Store(int64(now))
	patience := a.table.plane.times.udp
	if to.Port() == portDNS {
		patience = a.table.plane.times.dns
	}
	if until := int64(now + patience); until > a.until.Load() {
		a.until.Store(until)
	}
	_ = a.out.WriteTo(payload, to)
}

// receive carries replies until the client was silent for too long or the association is closed.
func (a *association) receive() {
	plane := a.table.plane
	defer a.end()
	defer plane.failures.Contain(a.cut)
	_ = a.out.SetReadDeadline(time.Now().Add(plane.times.dns))
	for {
		buffer, n, from, err := a.out.Receive(plane.buffers, replyStart, replySize)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Packets do not move the deadline, which would cost a timer each; it is looked up when it passes.
			if until := a.table.began.Add(time.Duration(a.until.Load())); until.After(time.Now()) {
				_ = a.out.SetReadDeadline(until)
				continue
			}
			return
		}
		if err != nil {
			return
		}
		if err = a.session.Down(n); err == nil {
			sealed := a.packets.seal(buffer[:], n, from)
			client := a.client.Load()
			_, _ = client.conn.WriteToUDPAddrPort(sealed, client.addr)
		}
		plane.buffers.Return(buffer)
		if err != nil {
			return
		}
	}
}
