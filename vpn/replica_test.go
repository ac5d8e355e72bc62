package vpn_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/vpn"
)

// replicas are two services on one PostgreSQL, each with its own connections.
func replicas(t *testing.T) (b *bench, other *vpn.Service) {
	t.Helper()
	dsn := storetest.Postgres(t)
	b = setupOn(t, dsn)
	return b, vpn.NewService(b.open(dsn), b.nodes, plainPasswords{}, vpn.Config{Now: b.clock, KeyWait: 50 * time.Millisecond})
}

// What one replica changes counts there at once, and a second later on the others, whatever they have in their caches.
func TestOtherReplicasFollowWithinASecond(t *testing.T) {
	for _, change := range []struct {
		name string
		make func(b *bench, a *vpn.Actor) error
	}{
		{"sign-out", func(b *bench, a *vpn.Actor) error { return b.SignOut(b.t.Context(), a) }},
		{"device removed", func(b *bench, a *vpn.Actor) error {
			return b.RemoveDevice(b.t.Context(), a, a.Device.ID)
		}},
		{"new password", func(b *bench, _ *vpn.Actor) error {
			return b.SetPassword(b.t.Context(), shell, b.user.ID, "another password")
		}},
		{"blocked", func(b *bench, _ *vpn.Actor) error {
			return b.SetUserStatus(b.t.Context(), shell, b.user.ID, vpn.UserBlocked)
		}},
		{"account removed", func(b *bench, _ *vpn.Actor) error { return b.RemoveUser(b.t.Context(), shell, b.user.ID) }},
	} {
		t.Run(change.name, func(t *testing.T) {
			b, other := replicas(t)
			_, in := b.signIn("user@example.com", "phone")
			works := func(s *vpn.Service) bool {
				a, err := s.Authenticate(t.Context(), in.Token)
				if err != nil {
					return false
				}
				_, err = s.IssueKey(t.Context(), a, vpn.IssueKey{ServerID: 1})
				return err == nil
			}
			if !works(b.Service) || !works(other) {
				t.Fatal("the session does not work on both replicas")
			}
			if err := change.make(b, b.authenticate(in.Token)); err != nil {
				t.Fatal(err)
			}
			if works(b.Service) {
				t.Error("it works on the replica that ended it")
			}
			b.now = b.now.Add(time.Second)
			if works(other) {
				t.Error("it works a second later on another replica")
			}
		})
	}
}

// Both replicas sweep the same users at once: each is refreshed, and a sweep that comes second changes nothing.
func TestReplicasSweepAtOnce(t *testing.T) {
	b, other := replicas(t)
	const users = 20
	keys := make([]vpn.Key, users)
	for i := range keys {
		email := "sweep" + strconv.Itoa(i) + "@example.com"
		b.addUser(email)
		a, _ := b.signIn(email, "phone")
		keys[i] = b.issue(a, 1)
		report := vpn.UsageReport{NodeID: 1, Stream: uint64(i) + 1, Seq: 1, Entries: []vpn.UsageEntry{{KeyID: keys[i].ID, Down: 1000}}}
		if _, err := b.RecordUsage(t.Context(), report); err != nil {
			t.Fatal(err)
		}
		b.worksIs("a key above its quota", keys[i].ID, false)
	}
	b.now = b.now.Add(31 * 24 * time.Hour) // the traffic period is over; the grace goes on
	var sweeps sync.WaitGroup
	for _, s := range []*vpn.Service{b.Service, other, b.Service, other} {
		sweeps.Go(func() {
			if err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	sweeps.Wait()
	for _, key := range keys {
		b.worksIs("a key in the next period", key.ID, true)
	}
	before, err := b.store.NodePosition(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*vpn.Service{b.Service, other} {
		if err := s.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if after, err := b.store.NodePosition(t.Context(), 1); err != nil || after != before {
		t.Errorf("a sweep with nothing to do moved the node from %+v to %+v, %v", before, after, err)
	}
}

func TestKeyIDs(t *testing.T) {
	some := vpn.NewKeyIDs(30, 4, 1<<53, 30)
	if want := fmt.Sprintf("4 30 %d", int64(1)<<53); string(some) != want || vpn.NewKeyIDs() != "" {
		t.Errorf("%q, want %q", some, want)
	}
	if all := some.All(); !slices.Equal(all, []int64{4, 30, 1 << 53}) || !some.Has(30) || some.Has(3) || vpn.KeyIDs("").Has(0) {
		t.Errorf("it holds %v", all)
	}
	many := make([]int64, 4097)
	for i := range many {
		many[i] = int64(i + 1)
	}
	if kept := vpn.NewKeyIDs(many...).All(); len(kept) != 4096 || kept[4095] != 4096 {
		t.Errorf("%d are kept of one too many", len(kept))
	}
}
