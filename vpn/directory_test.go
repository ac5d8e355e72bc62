package vpn

import (
	"context"
	"slices"
	"testing"
	"time"
)

// quietNodes answers as nodes that have what they are asked for.
type quietNodes map[int64]NodeLive

func (quietNodes) Wake(...NodeRev)                                {}
func (quietNodes) Refuses(int64, int64) bool                      { return false }
func (quietNodes) HasApplied(int64, int64) bool                   { return true }
func (quietNodes) WaitApplied(context.Context, int64, int64) bool { return true }
func (n quietNodes) Live(id int64) NodeLive                       { return n[id] }

func TestViewSortsAndLocks(t *testing.T) {
	now := at("2026-09-10T00:00:00Z")
	nodes := quietNodes{
		1: {IsOnline: true, ActiveDevices: 100, At: now}, 2: {IsOnline: true, At: now}, 3: {},
		4: {IsOnline: true, ActiveDevices: 10}, 5: {IsOnline: true}, 6: {IsOnline: true}, 7: {IsOnline: true, ActiveDevices: 37},
	}
	s := &Service{nodes: nodes}
	listed := s.listed([]Server{
		{ID: 1, Capacity: 200, State: ServerActive}, {ID: 2, Tier: 2, State: ServerActive}, {ID: 3, State: ServerActive},
		{ID: 4, Capacity: 10, State: ServerActive}, {ID: 5, State: ServerMaintenance}, {ID: 6, State: ServerDrained},
		{ID: 7, Capacity: 200, State: ServerActive},
	})
	v := newView(listed, standing{tier: 1})
	var order []int64
	for _, l := range v.Servers {
		order = append(order, l.ID)
	}
	if want := []int64{7, 1, 4, 5, 2}; !slices.Equal(order, want) { // 3 is offline, 6 drained
		t.Fatalf("order %v, want %v", order, want)
	}
	if v.RecommendedID != 7 {
		t.Errorf("recommended %d", v.RecommendedID)
	}
	if best := v.Servers[0]; best.Load != 19 || best.Score != 1.24 {
		t.Errorf("37 of 200: load %d, score %v", best.Load, best.Score)
	}
	for _, l := range v.Servers {
		switch {
		case l.ID == 2 && l.LockedReason != CodePlanUpgradeRequired:
			t.Errorf("tier 2 is locked by %q", l.LockedReason)
		case l.ID == 4 && l.Status != StatusFull:
			t.Errorf("10 of 10: %s", l.Status)
		}
	}
	if l, ok := v.any(3); !ok || l.Status != StatusOffline {
		t.Error("an offline server is not known")
	}
	locked := newView(listed, standing{tier: 9, reason: CodeSubscriptionExpired})
	if locked.RecommendedID != 0 || locked.Servers[0].LockedReason != CodeSubscriptionExpired {
		t.Error("an expired user is recommended a server")
	}
	if locked.Revision == v.Revision {
		t.Error("the revision does not change with accessibility")
	}
}

func TestRevisionIgnoresLoad(t *testing.T) {
	servers := []Server{{ID: 1, Capacity: 10, State: ServerActive, UpdatedAt: time.UnixMilli(5)}}
	idle := newView((&Service{nodes: quietNodes{1: {IsOnline: true}}}).listed(servers), standing{})
	busy := newView((&Service{nodes: quietNodes{1: {IsOnline: true, ActiveDevices: 9}}}).listed(servers), standing{})
	if idle.Revision != busy.Revision {
		t.Error("the revision changes with load")
	}
	servers[0].UpdatedAt = time.UnixMilli(6)
	if renamed := newView((&Service{nodes: quietNodes{1: {IsOnline: true}}}).listed(servers), standing{}); renamed.Revision == idle.Revision {
		t.Error("the revision does not change with the server")
	}
}

// viewStore is a store of one server.
type viewStore struct{ Store }

func (viewStore) Servers(context.Context) ([]Server, error) {
	return []Server{{ID: 1, State: ServerActive}}, nil
}

func TestViewSaysHowYoungItsLoadsAre(t *testing.T) {
	now := at("2026-09-10T00:00:00Z")
	nodes := quietNodes{1: {IsOnline: true, At: now}}
	s := NewService(viewStore{}, nodes, nil, Config{Now: func() time.Time { return now }})
	see := func() *View {
		v, err := s.view(t.Context(), &Entitlement{}, Access{Allowed: true})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first := see()
	now = now.Add(heardStep - time.Second)
	nodes[1] = NodeLive{IsOnline: true, At: now}
	if see() != first {
		t.Error("a view is made anew although nothing changed but the age of a load")
	}
	now = now.Add(time.Second)
	nodes[1] = NodeLive{IsOnline: true, At: now}
	if got := see().LoadUpdatedAt; !got.Equal(now) {
		t.Errorf("loads were heard at %v, want %v", got, now)
	}
}
