package hub

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stile/vpn"
	"stile/wire"
)

// everybody lets everybody in.
type everybody struct{}

func (everybody) JoinNode(_ context.Context, j vpn.Joining) (vpn.Server, error) {
	return vpn.Server{ID: j.NodeID}, nil
}

func (everybody) NodeServer(_ context.Context, id int64) (vpn.Server, error) {
	return vpn.Server{ID: id}, nil
}

func (everybody) AdmitNode(context.Context, int64, vpn.NodeKeyHash) error { return nil }

func (everybody) RenewNode(_ context.Context, id int64, _ vpn.NodeKeyHash, _ time.Time) (vpn.Server, error) {
	return vpn.Server{ID: id}, nil
}

func (everybody) Memberships(context.Context) ([]vpn.NodeIdentity, error) { return nil, nil }

// one keeps an authority in memory.
type one struct{ kept *vpn.Authority }

func (o *one) Authority(context.Context) (vpn.Authority, error) {
	if o.kept == nil {
		return vpn.Authority{}, vpn.ErrNotFound
	}
	return *o.kept, nil
}

func (o *one) KeepAuthority(_ context.Context, a vpn.Authority) (vpn.Authority, error) {
	o.kept = &a
	return a, nil
}

func newTestListener(t testing.TB) *Listener {
	t.Helper()
	h, err := New(Config{Store: newSet(), RecordUsage: func(context.Context, vpn.UsageReport) (uint64, error) { return 0, nil }})
	if err != nil {
		t.Fatal(err)
	}
	authority, _, err := OpenAuthority(t.Context(), &one{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewListener(ListenerConfig{Hub: h, Authority: authority, Members: everybody{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// certificateRequest is one that a node makes.
func certificateRequest(t testing.TB) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"control.stile.internal"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestReplicasShareOneAuthority(t *testing.T) {
	kept := new(one)
	first, _, err := OpenAuthority(t.Context(), kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := OpenAuthority(t.Context(), kept, nil)
	if err != nil || second.Pin() != first.Pin() {
		t.Errorf("%x, %v; want %x", second.Pin(), err, first.Pin())
	}
}

func TestNothingOfARequestButItsKeyIsCertified(t *testing.T) {
	l := newTestListener(t)
	w := httptest.NewRecorder()
	body, err := json.Marshal(wire.JoinRequest{NodeID: 7, Secret: []byte("s"), Request: certificateRequest(t)})
	if err != nil {
		t.Fatal(err)
	}
	l.join(w, httptest.NewRequest(http.MethodPost, wire.PathJoin, bytes.NewReader(body)))
	var m wire.Membership
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v", w.Code, err)
	}
	c, err := x509.ParseCertificate(m.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := nodeOf(c)
	if err != nil || id != 7 || len(c.DNSNames) != 0 || c.IsCA || len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("node %d, names %v, %v", id, c.DNSNames, err)
	}
	if life := time.Until(c.NotAfter); life > CertificateLife || life < CertificateLife-time.Minute {
		t.Errorf("it lives for %v", life)
	}
}

func TestOnePastTheBoundOfABodyIsRefused(t *testing.T) {
	l := newTestListener(t)
	m := newMemberLink(caller{id: 1}, func() {})
	if !l.add(m) {
		t.Fatal("not added")
	}
	defer l.remove(m)
	for name, c := range map[string]struct {
		most int
		call func(http.ResponseWriter, *http.Request)
	}{
		"join":   {maxCertifying, l.join},
		"renew":  {maxCertifying, func(w http.ResponseWriter, r *http.Request) { l.renew(w, r, m.by) }},
		"frames": {wire.MaxNodeBody, func(w http.ResponseWriter, r *http.Request) { l.frames(w, r, m.by) }},
	} {
		for size, want := range map[int]int{c.most + 1: http.StatusRequestEntityTooLarge, c.most: http.StatusBadRequest} {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, wire.PathFrames, bytes.NewReader(make([]byte, size)))
			r.Header.Set(wire.StreamHeader, m.name)
			if c.call(w, r); w.Code != want {
				t.Errorf("%s of %d bytes: %d, want %d", name, size, w.Code, want)
			}
		}
	}
}

// Whoever begins to join and does not go on keeps nobody else from it.
func TestSlowJoinsLeaveRoomForOthers(t *testing.T) {
	l := newTestListener(t)
	var begun sync.WaitGroup
	defer begun.Wait()
	for range joinsAtOnce {
		slow, end := io.Pipe()
		begun.Go(func() { l.join(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, wire.PathJoin, slow)) })
		_, _ = end.Write([]byte("{")) // it is being read
		defer end.Close()
	}
	body, err := json.Marshal(wire.JoinRequest{NodeID: 7, Secret: []byte("s"), Request: certificateRequest(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if l.join(w, httptest.NewRequest(http.MethodPost, wire.PathJoin, bytes.NewReader(body))); w.Code != http.StatusOK {
		t.Errorf("answered %d", w.Code)
	}
}

// A node sends its frames one request after the other; several at once would each hold a body.
func TestFramesComeOneRequestAtATime(t *testing.T) {
	l := newTestListener(t)
	m := newMemberLink(caller{id: 1}, func() {})
	if !l.add(m) {
		t.Fatal("not added")
	}
	defer l.remove(m)
	post := func(body io.Reader) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, wire.PathFrames, body)
		r.Header.Set(wire.StreamHeader, m.name)
		l.frames(w, r, m.by)
		return w.Code
	}
	frame := wire.Append(nil, &wire.Ack{Rev: 1})
	slow, ends := io.Pipe()
	first := make(chan int)
	go func() { first <- post(slow) }()
	_, _ = ends.Write(frame[:1]) // it is being read
	if code := post(bytes.NewReader(frame)); code != http.StatusGone {
		t.Errorf("a second request beside the first: %d", code)
	}
	_, _ = ends.Write(frame[1:])
	_ = ends.Close()
	if code := <-first; code != http.StatusNoContent {
		t.Errorf("the first request: %d", code)
	}
	if code := post(bytes.NewReader(frame)); code != http.StatusNoContent {
		t.Errorf("the next request: %d", code)
	}
}

func TestAStreamBelongsToItsNode(t *testing.T) {
	l := newTestListener(t)
	m := newMemberLink(caller{id: 1}, func() {})
	if !l.add(m) {
		t.Fatal("not added")
	}
	defer l.remove(m)
	for by, want := range map[int64]int{1: http.StatusNoContent, 2: http.StatusGone} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, wire.PathFrames, bytes.NewReader(wire.Append(nil, &wire.Ack{Rev: 1})))
		r.Header.Set(wire.StreamHeader, m.name)
		l.frames(w, r, caller{id: by})
		if w.Code != want {
			t.Errorf("frames of node %d: %d, want %d", by, w.Code, want)
		}
	}
}

func TestWhoeverHasNoCertificateIsNoMember(t *testing.T) {
	l := newTestListener(t)
	for _, path := range []string{wire.PathSelf, wire.PathRenew, wire.PathStream, wire.PathPoll, wire.PathFrames} {
		method := http.MethodPost
		if path == wire.PathSelf {
			method = http.MethodGet
		}
		w := httptest.NewRecorder()
		l.server.Handler.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", filepath.Base(path), w.Code)
		}
	}
}

// Whatever a stranger or a node sends, it is answered or refused, never a fault of ours.
func FuzzListener(f *testing.F) {
	request := certificateRequest(f)
	joining, err := json.Marshal(wire.JoinRequest{NodeID: 7, Secret: []byte("s"), Request: request})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(0), joining)
	f.Add(byte(1), wire.Append(nil, &wire.NodeBeat{Rev: 3}))
	f.Add(byte(2), []byte(`{"request":""}`))
	l := newTestListener(f)
	f.Fuzz(func(t *testing.T, to byte, body []byte) {
		m := newMemberLink(caller{id: 1}, func() {})
		if !l.add(m) {
			t.Fatal("not added")
		}
		defer l.remove(m)
		r := httptest.NewRequest(http.MethodPost, wire.PathFrames, bytes.NewReader(body))
		r.Header.Set(wire.StreamHeader, m.name)
		w := httptest.NewRecorder()
		switch to % 3 {
		case 0:
			l.join(w, r)
		case 1:
			l.frames(w, r, m.by)
		case 2:
			l.renew(w, r, m.by)
		}
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("answered %d", w.Code)
		}
	})
}
