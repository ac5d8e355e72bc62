package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/hub"
	"stile/store"
	"stile/vpn"
	"stile/wire"
)

// TestAgainstTheStore joins a node to a database: many callers issue, rotate and remove keys at once, and the node and
// the database agree on every set on the way, or the log would say so.
func TestAgainstTheStore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	db, err := store.Open(ctx, store.Config{DSN: filepath.Join(t.TempDir(), "stile.db"), Secret: [32]byte{1}})
	if err != nil {
		t.Fatal(err)
	}
	audit := vpn.Audit{Action: "test.act"}
	user, err := db.AddUser(ctx, vpn.NewUser{Email: "user@example.com", Locale: "ru"}, audit)
	if err != nil {
		t.Fatal(err)
	}
	server, err := db.AddServer(ctx, vpn.Server{Name: "local"}, audit)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	h, err := hub.New(hub.Config{Store: db, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
		RecordUsage: func(ctx context.Context, r vpn.UsageReport) (uint64, error) {
			cursor, _, _, err := db.ApplyUsage(ctx, r, time.Now().Truncate(24*time.Hour))
			return cursor, err
		}})
	if err != nil {
		t.Fatal(err)
	}
	var streams sync.WaitGroup
	ledger := dataplane.NewLedger(time.Now)
	p := newPlane(ledger)
	a, err := Open(Config{Dir: t.TempDir(), ID: server.ID, Ledger: ledger, Planes: []dataplane.Plane{p}, Log: slog.New(slog.DiscardHandler),
		UsageInterval: 20 * time.Millisecond,
		Dial: func(context.Context) (wire.Link, error) {
			here, there := wire.Pipe()
			streams.Go(func() { _ = h.Serve(ctx, server.ID, there) })
			return here, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	streams.Go(func() { _ = h.Run(ctx) })
	streams.Go(func() {
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		cancel()
		streams.Wait()
		ledger.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if log.Len() > 0 {
			t.Errorf("the hub complains:\n%s", &log)
		}
	}()
	for !h.Live(server.ID).IsOnline {
		time.Sleep(time.Millisecond)
	}

	var callers sync.WaitGroup
	for i := range 32 {
		callers.Go(func() { useKeys(ctx, t, db, h, p, user.ID, server.ID, i) })
	}
	callers.Wait()
	const want = 32 * 5 * 300
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		days, err := db.UserUsage(ctx, user.ID, 2)
		if err != nil {
			t.Fatal(err)
		}
		var booked int64
		for _, d := range days {
			booked += d.Up + d.Down
		}
		if booked == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are booked, %d were carried", booked, want)
		}
	}
}

// useKeys is one device: it gets a key, uses it, rotates it four times, and signs out.
func useKeys(ctx context.Context, t *testing.T, db *store.Store, h *hub.Hub, p *plane, userID, serverID int64, device int) {
	audit := vpn.Audit{Action: "test.act"}
	in, err := db.SignIn(ctx, vpn.NewSession{UserID: userID, ClientID: fmt.Sprint(device), Platform: vpn.PlatformLinux,
		TokenHash: vpn.TokenHash{byte(device), 1}, DeviceLimit: 100}, audit)
	if err != nil {
		t.Error(err)
		return
	}
	applied := func(rev int64) {
		h.Wake(vpn.NodeRev{NodeID: serverID, Rev: rev})
		if !h.WaitApplied(ctx, serverID, rev) {
			t.Errorf("revision %d was not applied", rev)
		}
	}
	var cut <-chan struct{}
	for n := range 5 {
		seed, err := accesskey.New()
		if err != nil {
			t.Error(err)
			return
		}
		key, err := db.IssueKey(ctx, vpn.NewKey{UserID: userID, DeviceID: in.DeviceID, ServerID: serverID, Seed: seed, Rotate: n > 0}, audit)
		if err != nil {
			t.Error(err)
			return
		}
		applied(key.Rev)
		if cut != nil && !isCut(cut) {
			t.Error("a session of a rotated key goes on")
		}
		session, ended, err := p.connect(key.ID)
		if err != nil {
			t.Errorf("key %d: %v", key.ID, err)
			return
		}
		if session.Up(100) != nil || session.Down(200) != nil {
			t.Errorf("key %d: the session ended", key.ID)
		}
		cut = ended
	}
	nodes, err := db.SignOut(ctx, in.TokenID, audit)
	if err != nil || len(nodes) != 1 {
		t.Errorf("sign-out changed %v, %v", nodes, err)
		return
	}
	applied(nodes[0].Rev)
	if !isCut(cut) {
		t.Error("a session goes on after the sign-out")
	}
}
