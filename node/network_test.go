package node

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/dataplane"
	"stile/hub"
	"stile/internal/testport"
	"stile/store"
	"stile/vpn"
	"stile/wire"
)

// controlPlane is the control side as it runs, on loopback: a database, the use cases, the hub and its listener.
type controlPlane struct {
	t         testing.TB
	ctx       context.Context
	store     *store.Store
	service   *vpn.Service
	hub       *hub.Hub
	authority *hub.Authority
	url       string
	// ahead is how far its clock is ahead of ours.
	ahead atomic.Int64
	stop  func()
}

func newControlPlane(t testing.TB) *controlPlane { return newControlPlaneAt(t, 0) }

// newControlPlaneAt starts a control plane whose clock is ahead.
func newControlPlaneAt(t testing.TB, ahead time.Duration) *controlPlane {
	t.Helper()
	cp := &controlPlane{t: t}
	cp.ahead.Store(int64(ahead))
	ctx, cancel := context.WithCancel(context.Background())
	cp.ctx = ctx
	now := func() time.Time { return time.Now().Add(time.Duration(cp.ahead.Load())) }
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if cp.store, err = store.Open(ctx, store.Config{DSN: t.TempDir() + "/stile.db", Now: now}); err != nil {
		t.Fatal(err)
	}
	record := func(ctx context.Context, r vpn.UsageReport) (uint64, error) { return cp.service.RecordUsage(ctx, r) }
	if cp.hub, err = hub.New(hub.Config{Store: cp.store, RecordUsage: record, Now: now, Log: quiet}); err != nil {
		t.Fatal(err)
	}
	cp.service = vpn.NewService(cp.store, cp.hub, nil, vpn.Config{Now: now, Log: quiet})
	if cp.authority, _, err = hub.OpenAuthority(ctx, cp.store, now); err != nil {
		t.Fatal(err)
	}
	l, err := hub.NewListener(hub.ListenerConfig{Hub: cp.hub, Authority: cp.authority, Members: cp.service, PollWait: 100 * time.Millisecond, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cp.url = "https://" + tcp.Addr().String()
	var running sync.WaitGroup
	running.Go(func() { _ = cp.hub.Run(ctx) })
	running.Go(func() {
		if err := l.Run(ctx, tcp); err != nil {
			t.Error(err)
		}
	})
	cp.stop = sync.OnceFunc(func() { cancel(); running.Wait(); _ = cp.store.Close() })
	t.Cleanup(cp.stop)
	return cp
}

func (cp *controlPlane) server(name string) int64 {
	cp.t.Helper()
	s, err := cp.service.AddServer(cp.ctx, vpn.Shell(), vpn.Server{Name: name, CountryCode: "NL", Host: "192.0.2.1",
		ShadowsocksPort: 8388, ShadowsocksPorts: 16})
	if err != nil {
		cp.t.Fatal(err)
	}
	return s.ID
}

func (cp *controlPlane) token(serverID int64) wire.JoinToken {
	cp.t.Helper()
	secret, _, err := cp.service.NodeJoinToken(cp.ctx, vpn.Shell(), serverID)
	if err != nil {
		cp.t.Fatal(err)
	}
	return wire.JoinToken{NodeID: serverID, Secret: secret, Authority: cp.authority.Pin(), URL: cp.url}
}

// journey is the findings of a join or an examination.
type journey []Finding

func (j *journey) add(f Finding) { *j = append(*j, f) }

// failed is the step that failed, if one did.
func (j *journey) failed() Finding {
	for _, f := range *j {
		if f.Err != nil {
			return f
		}
	}
	return Finding{}
}

func (cp *controlPlane) join(t wire.JoinToken, dir string) (*Identity, error) {
	var j journey
	return Join(cp.ctx, JoinConfig{Dir: dir, Token: t, Report: j.add})
}

// linked is a node at work on a link over the network.
type linked struct {
	*plane
	transport *Transport
	dir       string
	ended     chan error
	stop      func()
}

// run starts the node of a directory.
func (cp *controlPlane) run(dir string) *linked {
	cp.t.Helper()
	id, err := LoadIdentity(dir)
	if err != nil {
		cp.t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	n := &linked{dir: dir, ended: make(chan error, 1)}
	if n.transport, err = NewTransport(TransportConfig{Dir: dir, Identity: id, Log: quiet}); err != nil {
		cp.t.Fatal(err)
	}
	ledger := dataplane.NewLedger(time.Now)
	n.plane = newPlane(ledger)
	a, err := Open(Config{Dir: id.StateDir(dir), ID: id.NodeID, Ledger: ledger, Planes: []dataplane.Plane{n.plane}, Dial: n.transport.Dial, Log: quiet})
	if err != nil {
		cp.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.ended <- a.Run(ctx)
		ledger.Close()
	}()
	n.stop = sync.OnceFunc(func() { cancel(); <-done })
	cp.t.Cleanup(n.stop)
	return n
}

func (cp *controlPlane) joined(name string) (int64, *linked) {
	cp.t.Helper()
	id := cp.server(name)
	dir := cp.t.TempDir()
	if _, err := cp.join(cp.token(id), dir); err != nil {
		cp.t.Fatal(err)
	}
	n := cp.run(dir)
	cp.online(id, true)
	return id, n
}

func (cp *controlPlane) online(id int64, want bool) {
	cp.t.Helper()
	until(cp.t, "the node's state", func() bool { return cp.hub.Live(id).IsOnline == want })
}

// until waits for something, for longer than any machine needs.
func until(t testing.TB, what string, check func() bool) {
	t.Helper()
	for range 6000 {
		if check() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never came: %s", what)
}

func TestANodeJoinsAndLinks(t *testing.T) {
	cp := newControlPlane(t)
	id, n := cp.joined("a")
	loaded, err := LoadIdentity(n.dir)
	if err != nil || loaded.NodeID != id || loaded.Name != "a" || loaded.ShadowsocksPort != 8388 || loaded.ShadowsocksPorts != 16 {
		t.Errorf("%+v, %v", loaded, err)
	}
	var j journey
	if err := Examine(cp.ctx, n.dir, nil, j.add); err != nil || len(j) != 7 {
		t.Errorf("%d steps, %v", len(j), err)
	}
	n.stop()
	cp.online(id, false)
	cp.run(n.dir)
	cp.online(id, true)
}

func TestEachFailureOfJoiningIsNamed(t *testing.T) {
	cp := newControlPlane(t)
	id := cp.server("a")
	closed := net.JoinHostPort("127.0.0.1", strconv.Itoa(testport.Free(t, 1)))
	plain, err := net.Listen("tcp", "127.0.0.1:0") // speaks no TLS
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	go func() {
		for {
			c, err := plain.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("220 ready\r\n"))
			_ = c.Close()
		}
	}()
	used := cp.token(id)
	if _, err := cp.join(used, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, step, detail, remedy string
		now                        time.Duration
		token                      func() wire.JoinToken
	}{
		{"no such name", "name", "does not resolve", "DNS", 0, func() wire.JoinToken {
			tok := cp.token(id)
			tok.URL = "https://nowhere.invalid:8443"
			return tok
		}},
		{"port closed", "connection", "nothing listens", "--nodes-listen", 0, func() wire.JoinToken {
			tok := cp.token(id)
			tok.URL = "https://" + closed
			return tok
		}},
		{"another program", "control plane", "not answer as Stile", "proxy", 0, func() wire.JoinToken {
			tok := cp.token(id)
			tok.URL = "https://" + plain.Addr().String()
			return tok
		}},
		{"another control plane", "control plane", "not the control plane", "in between", 0, func() wire.JoinToken {
			tok := cp.token(id)
			tok.Authority[0]++
			return tok
		}},
		// The answer may take its time, which makes a clock that is ahead more so, and one that is behind less.
		{"clock an hour ahead", "clock", "off by 1h0m", "set-ntp", time.Hour, func() wire.JoinToken { return cp.token(id) }},
		{"clock an hour behind", "clock", "off by -1h0m", "set-ntp", -time.Hour - 50*time.Second, func() wire.JoinToken { return cp.token(id) }},
		{"replaced", "token", "not valid", "server join", 0, func() wire.JoinToken { return used }},
		{"used", "token", "used already", "server join", 0, func() wire.JoinToken {
			tok := cp.token(id)
			if _, err := cp.join(tok, t.TempDir()); err != nil {
				t.Fatal(err)
			}
			return tok
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var j journey
			_, err := Join(cp.ctx, JoinConfig{Dir: t.TempDir(), Token: c.token(), Report: j.add,
				Now: func() time.Time { return time.Now().Add(c.now) }})
			f := j.failed()
			if err == nil || f.Check != c.step || !strings.Contains(f.Detail, c.detail) || !strings.Contains(f.Remedy, c.remedy) {
				t.Errorf("%v: step %q, %q, %q", err, f.Check, f.Detail, f.Remedy)
			}
		})
	}
	t.Run("expired", func(t *testing.T) {
		tok := cp.token(id)
		cp.ahead.Store(int64(time.Hour + time.Minute))
		defer cp.ahead.Store(0)
		var j journey
		_, err := Join(cp.ctx, JoinConfig{Dir: t.TempDir(), Token: tok, Report: j.add, Now: func() time.Time { return time.Now().Add(61 * time.Minute) }})
		if f := j.failed(); err == nil || !strings.Contains(f.Detail, "older than an hour") {
			t.Errorf("%v: %+v", err, f)
		}
	})
	t.Run("control plane gone", func(t *testing.T) {
		dir := t.TempDir()
		if _, err := cp.join(cp.token(id), dir); err != nil {
			t.Fatal(err)
		}
		cp.stop()
		var j journey
		if err := Examine(context.Background(), dir, nil, j.add); err == nil || j.failed().Check != "connection" {
			t.Errorf("%v: %+v", err, j.failed())
		}
	})
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	cp := newControlPlane(t)
	id := cp.server("a")
	tok, dir := cp.token(id), t.TempDir()
	key, _, err := joiningKey(dir, &tok)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := checkAuthority(cp.authority.Certificate(), tok.Authority)
	if err != nil {
		t.Fatal(err)
	}
	c := newControl(cp.url, authority, nil)
	defer c.close()
	if _, err := askMembership(cp.ctx, c, wire.PathJoin, key, func(r []byte) any {
		return wire.JoinRequest{NodeID: id, Secret: tok.Secret[:], Request: r}
	}); err != nil { // and nothing is written down
		t.Fatal(err)
	}
	if _, err := cp.join(tok, dir); err != nil {
		t.Errorf("with the same key: %v", err)
	}
	if _, err := cp.join(tok, t.TempDir()); err == nil {
		t.Error("with another key")
	}
}

func TestOneOfManyRedemptionsWins(t *testing.T) {
	cp := newControlPlane(t)
	tok := cp.token(cp.server("a"))
	authority, err := checkAuthority(cp.authority.Certificate(), tok.Authority)
	if err != nil {
		t.Fatal(err)
	}
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		dir := t.TempDir()
		all.Go(func() {
			key, _, err := joiningKey(dir, &tok)
			if err != nil {
				t.Error(err)
				return
			}
			c := newControl(cp.url, authority, nil)
			defer c.close()
			for {
				_, err := askMembership(cp.ctx, c, wire.PathJoin, key, func(r []byte) any {
					return wire.JoinRequest{NodeID: tok.NodeID, Secret: tok.Secret[:], Request: r}
				})
				refused, ok := errors.AsType[*RefusedError](err)
				switch {
				case err == nil:
					won.Add(1)
				case ok && refused.Code == wire.NodeBusy:
					time.Sleep(10 * time.Millisecond)
					continue
				case ok && refused.Code == wire.NodeTokenUsed:
					lost.Add(1)
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || lost.Load() != 63 {
		t.Errorf("%d won, %d lost", won.Load(), lost.Load())
	}
}

func TestARevokedNodeIsRefusedAtOnceOnItsLiveLinkToo(t *testing.T) {
	cp := newControlPlane(t)
	id, n := cp.joined("a")
	otherID, other := cp.joined("b")
	if err := cp.service.RevokeNode(cp.ctx, vpn.Shell(), id); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.transport.Refused():
	case <-time.After(time.Minute):
		t.Fatal("it was not told")
	}
	cp.online(id, false)
	if loaded, err := LoadIdentity(n.dir); err != nil || !loaded.IsRefused {
		t.Errorf("on disk: %+v, %v", loaded, err)
	}
	var j journey
	if err := Examine(cp.ctx, n.dir, nil, j.add); err == nil || !strings.Contains(j.failed().Remedy, "stile server join") {
		t.Errorf("%v: %+v", err, j.failed())
	}
	n.stop()
	if _, err := cp.join(cp.token(id), n.dir); err != nil {
		t.Fatal(err)
	}
	cp.run(n.dir)
	cp.online(id, true)
	if !cp.hub.Live(otherID).IsOnline {
		t.Error("the other node is gone")
	}
	if err := cp.service.RemoveServer(cp.ctx, vpn.Shell(), otherID); err != nil {
		t.Fatal(err)
	}
	select {
	case <-other.transport.Refused():
	case <-time.After(time.Minute):
		t.Fatal("the node of a removed server was not told")
	}
}

func TestAnotherMachineTakesTheNodesPlace(t *testing.T) {
	cp := newControlPlane(t)
	id, first := cp.joined("a")
	dir := t.TempDir()
	if _, err := cp.join(cp.token(id), dir); err != nil {
		t.Fatal(err)
	}
	select { // its certificate is good, and its id; but it is not the node any more
	case <-first.transport.Refused():
	case <-time.After(time.Minute):
		t.Fatal("the first goes on")
	}
	first.stop()
	cp.run(dir)
	cp.online(id, true)
}

func TestCertificatesRenewThemselvesOverTheLiveLink(t *testing.T) {
	cp := newControlPlaneAt(t, -61*24*time.Hour)
	id := cp.server("a")
	dir := t.TempDir()
	joiningAt := func() time.Time { return time.Now().Add(-61 * 24 * time.Hour) }
	var j journey
	if _, err := Join(cp.ctx, JoinConfig{Dir: dir, Token: cp.token(id), Report: j.add, Now: joiningAt}); err != nil {
		t.Fatal(err)
	}
	cp.ahead.Store(0)
	left := func() time.Duration {
		loaded, err := LoadIdentity(dir)
		if err != nil {
			t.Fatal(err)
		}
		until, err := loaded.CertifiedUntil()
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(until)
	}
	if left() > 29*24*time.Hour {
		t.Fatalf("%v left", left())
	}
	cp.run(dir)
	until(t, "another certificate", func() bool { return left() > 89*24*time.Hour })
	n, err := cp.store.NodeIdentity(cp.ctx, id)
	if err != nil || time.Until(n.CertifiedUntil) < 89*24*time.Hour {
		t.Errorf("the control plane knows %+v, %v", n, err)
	}
	cp.online(id, true)
}

func TestAnExpiredCertificateIsNamed(t *testing.T) {
	cp := newControlPlaneAt(t, -91*24*time.Hour)
	id := cp.server("a")
	dir := t.TempDir()
	var j journey
	if _, err := Join(cp.ctx, JoinConfig{Dir: dir, Token: cp.token(id), Report: j.add,
		Now: func() time.Time { return time.Now().Add(-91 * 24 * time.Hour) }}); err != nil {
		t.Fatal(err)
	}
	cp.ahead.Store(0)
	var later journey
	if err := Examine(cp.ctx, dir, nil, later.add); err == nil || later.failed().Check != "certificate" || !strings.Contains(later.failed().Remedy, "server join") {
		t.Errorf("%v: %+v", err, later.failed())
	}
	loaded, err := LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := NewTransport(TransportConfig{Dir: dir, Identity: loaded})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := transport.Dial(cp.ctx); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("dials: %v", err)
	}
}

func TestANodeCannotActAsTheControlPlane(t *testing.T) {
	cp := newControlPlane(t)
	_, n := cp.joined("a")
	id, err := LoadIdentity(n.dir)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, err := id.parse()
	if err != nil {
		t.Fatal(err)
	}
	authority, err := id.authority()
	if err != nil {
		t.Fatal(err)
	}
	if err := checkControl([]*x509.Certificate{leaf}, authority); !errors.Is(err, errNotControl) {
		t.Errorf("%v", err)
	}
	if sha256.Sum256(authority.RawSubjectPublicKeyInfo) != cp.authority.Pin() {
		t.Error("another authority")
	}
}
