package node

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// history is a control plane on a real database and a node beside it, both of which can be put back to what they were.
type history struct {
	*testing.T
	path  string // of the database
	dir   string // of the node
	user  vpn.User
	hosts int64 // the server's id
	next  int   // the next device

	db    *store.Store
	hub   *hub.Hub
	log   *lockedBuffer
	plane *plane
	stop  func() // the control plane and the node, like kill -9
	// carried is what the planes counted for keys that the database in use knows.
	carried map[int64]int64
}

// lockedBuffer is a log that many goroutines write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), s)
}

func (h *history) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func newHistory(t *testing.T) *history {
	h := &history{T: t, path: filepath.Join(t.TempDir(), "stile.db"), dir: t.TempDir(), log: new(lockedBuffer), carried: map[int64]int64{}}
	h.start()
	t.Cleanup(func() { h.stop() })
	audit := vpn.Audit{Action: "test.act"}
	var err error
	h.user, err = h.db.AddUser(t.Context(), vpn.NewUser{Email: "user@example.com", Locale: "ru"}, audit)
	h.ok(err)
	server, err := h.db.AddServer(t.Context(), vpn.Server{Name: "local"}, audit)
	h.ok(err)
	h.hosts = server.ID
	h.stop() // the node needs the server's number
	h.start()
	h.inStep()
	return h
}

// start opens the database and, once there is a server, runs its node.
func (h *history) start() {
	h.Helper()
	db, err := store.Open(h.Context(), store.Config{DSN: h.path, Secret: [32]byte{1}})
	h.ok(err)
	h.db = db
	log := slog.New(slog.NewTextHandler(h.log, nil))
	h.hub, err = hub.New(hub.Config{Store: db, Log: log,
		RecordUsage: func(ctx context.Context, r vpn.UsageReport) (uint64, error) {
			cursor, _, _, err := db.ApplyUsage(ctx, r, r.To)
			return cursor, err
		}})
	h.ok(err)
	ctx, cancel := context.WithCancel(h.Context())
	var running sync.WaitGroup
	h.stop = func() { cancel(); running.Wait(); h.ok(db.Close()) }
	if h.hosts == 0 {
		return
	}
	h.startNode(ctx, &running)
}

func (h *history) startNode(ctx context.Context, running *sync.WaitGroup) {
	h.Helper()
	ledger := dataplane.NewLedger(time.Now)
	h.plane = newPlane(ledger)
	control := h.hub
	dial := func(context.Context) (wire.Link, error) {
		here, there := wire.Pipe()
		running.Go(func() { _ = control.Serve(ctx, h.hosts, there) })
		return here, nil
	}
	a, err := Open(Config{Dir: h.dir, ID: h.hosts, Ledger: ledger, Planes: []dataplane.Plane{h.plane},
		Log: slog.New(slog.NewTextHandler(h.log, nil)), Dial: dial, UsageInterval: 10 * time.Millisecond})
	h.ok(err)
	running.Go(func() { _ = control.Run(ctx) })
	running.Go(func() { // without Run's orderly end: what is not on disk is lost
		defer ledger.Close()
		up := &uplink{dial: a.cfg.Dial, events: make(chan linkEvent), log: a.cfg.Log}
		linked := make(chan struct{})
		go func() { defer close(linked); up.run(ctx) }()
		a.loop(ctx, up.events)
		<-linked
		_ = a.journal.close()
		_ = a.disk.close()
	})
}

// until waits for a condition.
func (h *history) until(what string, is func() bool) {
	h.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("not in time: %s\n%s", what, h.log.b.String())
		}
	}
}

// inStep waits until the node has what the database has.
func (h *history) inStep() {
	h.Helper()
	h.until("in step", func() bool {
		p, err := h.db.NodePosition(h.Context(), h.hosts)
		h.ok(err)
		ctx, cancel := context.WithTimeout(h.Context(), 100*time.Millisecond)
		defer cancel()
		if !h.hub.WaitApplied(ctx, h.hosts, p.Rev) {
			return false
		}
		now, err := h.db.NodePosition(h.Context(), h.hosts)
		h.ok(err)
		return now == p
	})
}

// issue makes a key of a new device, and waits until the node has it.
func (h *history) issue() vpn.Key {
	h.Helper()
	h.next++
	in, err := h.db.SignIn(h.Context(), vpn.NewSession{UserID: h.user.ID, ClientID: time.Now().String(), Platform: vpn.PlatformLinux,
		TokenHash: vpn.TokenHash{byte(h.next), byte(h.next >> 8), 7}, DeviceLimit: 1000}, vpn.Audit{Action: "test.act"})
	h.ok(err)
	seed, err := accesskey.New()
	h.ok(err)
	key, err := h.db.IssueKey(h.Context(), vpn.NewKey{UserID: h.user.ID, DeviceID: in.DeviceID, ServerID: h.hosts, Seed: seed, Terms: always},
		vpn.Audit{Action: "test.act"})
	h.ok(err)
	h.hub.Wake(vpn.NodeRev{NodeID: h.hosts, Rev: key.Rev})
	h.inStep()
	return key
}

func (h *history) revoke(k vpn.Key) {
	h.Helper()
	nodes, err := h.db.RemoveDevice(h.Context(), h.user.ID, k.DeviceID, vpn.Audit{Action: "test.act"})
	h.ok(err)
	h.hub.Wake(nodes...)
	h.inStep()
	h.isDead(k)
}

func (h *history) isDead(k vpn.Key) {
	h.Helper()
	if _, _, err := h.plane.connect(k.ID); err == nil {
		h.Errorf("revoked key %d connects", k.ID)
	}
	if _, err := h.db.Key(h.Context(), k.ID); err == nil {
		h.Errorf("revoked key %d lives in the database", k.ID)
	}
}

// carry has a key used, and waits until that is booked.
func (h *history) carry(k vpn.Key, bytes int64) {
	h.Helper()
	s, _, err := h.plane.connect(k.ID)
	h.ok(err)
	defer s.Done()
	h.ok(s.Up(int(bytes)))
	h.carried[k.ID] += bytes
	h.isBooked()
}

func (h *history) isBooked() {
	h.Helper()
	var want int64
	for _, n := range h.carried {
		want += n
	}
	booked := func() (sum int64) {
		days, err := h.db.UserUsage(h.Context(), h.user.ID, 10)
		h.ok(err)
		for _, d := range days {
			sum += d.Up + d.Down
		}
		return sum
	}
	h.until("all that was carried is booked, no more and no less", func() bool { return booked() == want })
}

// backUp copies the database while it is in use.
func (h *history) backUp() (path string) {
	h.Helper()
	path = filepath.Join(h.TempDir(), "backup.db")
	db, err := sql.Open("sqlite", h.path)
	h.ok(err)
	_, err = db.ExecContext(h.Context(), "VACUUM INTO $1", path)
	h.ok(err)
	h.ok(db.Close())
	return path
}

// putBack replaces the database of a stopped control plane.
func (h *history) putBack(backup string) {
	h.Helper()
	copyFile(h, backup, h.path+".copy")
	h.ok(os.Rename(h.path+".copy", h.path))
	for _, part := range []string{"-wal", "-shm"} {
		if err := os.Remove(h.path + part); err != nil && !os.IsNotExist(err) {
			h.Fatal(err)
		}
	}
}

func copyFile(h *history, from, to string) {
	h.Helper()
	in, err := os.Open(from)
	h.ok(err)
	defer in.Close()
	out, err := os.Create(to)
	h.ok(err)
	_, err = io.Copy(out, in)
	h.ok(err)
	h.ok(out.Close())
}

// epoch is the database's, and the node's.
func (h *history) epoch() int64 {
	h.Helper()
	p, err := h.db.NodePosition(h.Context(), h.hosts)
	h.ok(err)
	return p.Epoch
}

func always(*vpn.User, *vpn.Entitlement, int) (time.Time, vpn.KeyLimits, error) {
	return time.Time{}, vpn.KeyLimits{}, nil
}

// An hour passes between the backup and the disaster: keys are made and revoked, and traffic is carried.
func TestARestoredDatabaseBringsNoRevokedKeyBackAndLosesNoUsage(t *testing.T) {
	for name, lose := range map[string]func(h *history){
		"noticed by the high-water file": func(*history) {},
		"noticed by the node alone":      func(h *history) { h.ok(os.Remove(h.path + ".high-water")) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t)
			var kept, revoked []vpn.Key
			for range 40 {
				kept, revoked = append(kept, h.issue()), append(revoked, h.issue())
			}
			h.carry(kept[0], 1000)
			backup := h.backUp()
			h.carry(kept[0], 234)
			h.carry(kept[1], 500)
			for _, k := range revoked {
				h.revoke(k)
			}
			late := h.issue() // unknown to the backup
			lateRevoked := h.issue()
			h.revoke(lateRevoked)

			h.stop()
			h.putBack(backup)
			lose(h)
			h.start()
			h.until("the epoch rises", func() bool { return h.epoch() == 2 })
			h.inStep()
			for _, k := range append(revoked, lateRevoked) {
				h.isDead(k)
			}
			for _, k := range kept {
				if s, _, err := h.plane.connect(k.ID); err != nil {
					t.Errorf("kept key %d: %v", k.ID, err)
				} else {
					s.Done()
				}
			}
			if _, _, err := h.plane.connect(late.ID); err == nil {
				t.Error("a key that the database does not know connects")
			}
			h.isBooked()
			if !h.log.has("are revoked again") {
				t.Error("the log does not say that keys were revoked again")
			}
			fresh := h.issue()
			if fresh.ID <= lateRevoked.ID {
				t.Errorf("key id %d may have been another's", fresh.ID)
			}
			h.carry(fresh, 77)
			h.carry(kept[2], 88)
		})
	}
}

func TestANodeWhoseDiskWasPutBackCatchesUp(t *testing.T) {
	h := newHistory(t)
	kept, gone := h.issue(), h.issue()
	h.carry(kept, 10)
	h.stop()
	old := h.TempDir()
	h.ok(os.CopyFS(old, os.DirFS(h.dir)))
	h.start()
	h.inStep()
	h.revoke(gone)
	fresh := h.issue()
	h.carry(fresh, 20)
	h.stop()
	h.dir = old
	h.start()
	h.inStep()
	h.isDead(gone)
	h.carry(kept, 5)
	h.carry(fresh, 6)
	if h.epoch() != 1 {
		t.Errorf("epoch %d", h.epoch())
	}
}

// While the database is whole, the node has something else than it says: memory, disk or code is at fault.
func TestADifferingSetIsFoundAndHealed(t *testing.T) {
	h := newHistory(t)
	var keys []vpn.Key
	for range 30 {
		keys = append(keys, h.issue())
	}
	gone := h.issue()
	h.revoke(gone)
	h.stop()
	d, state, damaged, err := openDisk(h.dir)
	if err != nil || damaged != nil {
		t.Fatal(err, damaged)
	}
	lost, changed := keys[3].ID, state.Keys[keys[7].ID]
	delete(state.Keys, lost)
	changed.MaxSessions = 1
	state.Keys[changed.ID] = changed
	h.ok(d.writeBase(state))
	h.ok(d.close())

	h.start()
	h.inStep()
	for _, k := range keys {
		if s, _, err := h.plane.connect(k.ID); err != nil {
			t.Errorf("key %d: %v", k.ID, err)
		} else {
			s.Done()
		}
	}
	h.isDead(gone)
	if !h.log.has("has another set at revision") {
		t.Error("the log does not say that the set differed")
	}
	h.stop()
	_, state, _, err = openDisk(h.dir)
	h.ok(err)
	h.start()
	p, err := h.db.NodePosition(t.Context(), h.hosts)
	h.ok(err)
	if wire.Digest(p.Digest) != state.Digest || state.Keys[changed.ID].MaxSessions != 0 {
		t.Errorf("the disk has %v, the database %v", state.Digest, wire.Digest(p.Digest))
	}
}
