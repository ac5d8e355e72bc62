package shadowsocks

import (
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
)

// portDNS is the port whose associations are short.
const portDNS = 53

// replyStart is where the payload of a reply is read to, behind room for salt and source header; replySize is how much
// of it fits a datagram (65,507 bytes over IPv4) with both and the tag.
const (
	replyStart = saltSize + maxSource
	replySize  = 65507 - replyStart - tagSize
)

// clientKey names an association: a client's socket, seen at one of our ports.
type clientKey struct {
	addr   netip.AddrPort
	bucket int
}

// associations is the plane's NAT table.
type associations struct {
	plane         *Plane
	total, perKey int
	resolving     chan struct{} // a place for each name that is being resolved
	running       sync.WaitGroup

	mu       sync.Mutex
	byClient map[clientKey]*association
	byKey    map[int64][]*association // oldest first
}

func newAssociations(p *Plane) *associations {
	return &associations{
		plane: p, total: maxAssociations, perKey: maxAssociationsPerKey, resolving: make(chan struct{}, maxResolving),
		byClient: make(map[clientKey]*association), byKey: make(map[int64][]*association),
	}
}

// association is one client socket of one key with the egress socket that stands for it; any remote may answer there.
type association struct {
	table      *associations
	client     clientKey
	reply      *net.UDPConn // the port the client talks to
	credential *credential
	method     method
	session    *dataplane.Session
	out        *dataplane.UDPConn
	ctx        context.Context // ends with the association
	cancel     context.CancelFunc
	until      atomic.Int64 // unix nanoseconds when it ends if the client stays silent
	sentAt     atomic.Int64 // unix nanoseconds
}

// serveUDP reads packets until the socket closes.
func (p *Plane) serveUDP(conn *net.UDPConn, bucket int) {
	packet := make([]byte, 1<<16)
	plain := make([]byte, 1<<16)
	for {
		n, addr, err := conn.ReadFromUDPAddrPort(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn("shadowsocks: receive", "error", errors.Unwrap(err))
			time.Sleep(acceptPause)
			continue
		}
		p.datagrams.receive(conn, clientKey{addr, bucket}, packet[:n], plain[:0])
	}
}

// receive takes one packet of a client. Whatever is wrong with it, it is dropped in silence.
func (t *associations) receive(conn *net.UDPConn, client clientKey, packet, dst []byte) {
	if len(packet) < saltSize+tagSize {
		return
	}
	salt, sealed := packet[:saltSize], packet[saltSize:]
	t.mu.Lock()
	a := t.byClient[client]
	t.mu.Unlock()
	if a != nil {
		if plain, ok := t.plane.udp.again(salt, sealed, dst, a.credential, a.method); ok {
			a.forward(plain)
			return
		}
	}
	m, ok := t.plane.udp.find(salt, sealed, dst, t.plane.sources.id(client.addr.Addr()), client.bucket)
	if !ok {
		return
	}
	if a != nil {
		a.end() // the client's socket has another key now
	}
	to, n, err := parseTarget(m.plain)
	if err != nil || to.Name == "" && !t.plane.egress.Permits(netip.AddrPortFrom(to.Addr, to.Port)) {
		return
	}
	if a = t.open(conn, client, m); a != nil {
		a.send(to, m.plain[n:])
	}
}

// open admits and registers an association, or returns nil.
func (t *associations) open(conn *net.UDPConn, client clientKey, m match) *association {
	if !t.makeRoom(m.credential.id) {
		return nil
	}
	out, err := t.plane.egress.ListenUDP()
	if err != nil {
		return nil
	}
	a := &association{table: t, client: client, reply: conn, credential: m.credential, method: m.method, out: out}
	a.ctx, a.cancel = context.WithCancel(t.plane.ctx)
	a.session, err = t.plane.ledger.Admit(m.credential.id, a.cut)
	if err != nil {
		a.cut()
		return nil
	}
	t.mu.Lock()
	t.byClient[client] = a
	t.byKey[a.credential.id] = append(t.byKey[a.credential.id], a)
	t.mu.Unlock()
	t.running.Go(a.receive)
	return a
}

// makeRoom ends a key's longest silent association if it has as many as it may; false means that the plane is full.
func (t *associations) makeRoom(keyID int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byClient) >= t.total {
		return false
	}
	own := t.byKey[keyID]
	if len(own) >= t.perKey {
		silent := slices.MinFunc(own, func(a, b *association) int { return int(a.sentAt.Load() - b.sentAt.Load()) })
		t.remove(silent)
		silent.close()
	}
	return true
}

// remove takes an association out of the table; the caller holds the lock.
func (t *associations) remove(a *association) {
	if t.byClient[a.client] == a {
		delete(t.byClient, a.client)
	}
	own := t.byKey[a.credential.id]
	if i := slices.Index(own, a); i >= 0 {
		if own = slices.Delete(own, i, i+1); len(own) == 0 {
			delete(t.byKey, a.credential.id)
		} else {
			t.byKey[a.credential.id] = own
		}
	}
}

// close ends all associations and waits for them. No packet may arrive any more.
func (t *associations) close() {
	t.mu.Lock()
	for _, a := range t.byClient {
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

// forward sends an opened packet on.
func (a *association) forward(plain []byte) {
	if to, n, err := parseTarget(plain); err == nil {
		a.send(to, plain[n:])
	}
}

// send sends a payload to a target; a name is resolved first, on another goroutine, within bounds.
func (a *association) send(to dataplane.Target, payload []byte) {
	if to.Name == "" {
		a.sendTo(netip.AddrPortFrom(to.Addr, to.Port), payload)
		return
	}
	select {
	case a.table.resolving <- struct{}{}:
	default:
		return
	}
	payload = slices.Clone(payload)
	a.table.running.Go(func() {
		defer func() { <-a.table.resolving }()
		if addrs, err := a.table.plane.egress.Resolve(a.ctx, to); err == nil {
			a.sendTo(netip.AddrPortFrom(addrs[0], to.Port), payload)
		}
	})
}

func (a *association) sendTo(to netip.AddrPort, payload []byte) {
	if !a.table.plane.egress.Permits(to) || !a.session.TryUp(len(payload)) {
		return
	}
	now := time.Now()
	a.sentAt.Store(now.UnixNano())
	patience := a.table.plane.times.udp
	if to.Port() == portDNS {
		patience = a.table.plane.times.dns
	}
	if until := now.Add(patience).UnixNano(); until > a.until.Load() {
		a.until.Store(until)
	}
	_ = a.out.WriteTo(payload, to)
}

// receive carries replies until the client was silent for too long or the association is closed.
func (a *association) receive() {
	defer a.end()
	plane := a.table.plane
	_ = a.out.SetReadDeadline(time.Now().Add(plane.times.dns))
	for {
		buffer, n, from, err := a.out.Receive(plane.buffers, replyStart, replySize)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// Packets do not move the deadline, which would cost a timer each; it is looked up when it passes.
			if until := time.Unix(0, a.until.Load()); until.After(time.Now()) {
				_ = a.out.SetReadDeadline(until)
				continue
			}
			return
		}
		if err != nil {
			return
		}
		if err = a.session.Down(n); err == nil {
			sealed := a.seal(buffer[:], n, from)
			_, _ = a.reply.WriteToUDPAddrPort(sealed, a.client.addr)
		}
		plane.buffers.Return(buffer)
		if err != nil {
			return
		}
	}
}

// seal turns a payload of n bytes at replyStart into the packet for the client, in place.
func (a *association) seal(b []byte, n int, from netip.AddrPort) []byte {
	header := putSource(b, replyStart, from)
	salt := b[header-saltSize : header]
	a.table.plane.udp.salts.fill(salt)
	var subkey [keySize]byte
	newKDF(salt).derive(&a.credential.master, &subkey)
	plain := b[header : replyStart+n]
	a.method.newAEAD(&subkey).Seal(plain[:0], zeroNonce[:], plain, nil)
	return b[header-saltSize : replyStart+n+tagSize]
}
