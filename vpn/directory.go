package vpn

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

// ListedServer is a server as a client meets it. It is shared between callers: read only.
type ListedServer struct {
	Server
	Status            ServerStatus
	ActiveConnections int
	Load              int     // 0–100
	Score             float64 // lower is better
	// LockedReason says why this user may not use the server; "" = accessible.
	LockedReason Code
}

// View is the list of servers as users of one standing (the same tier and the same access) meet it, best first. It is
// an immutable snapshot, shared by all of them: its address may serve as the key of a cache of what is made from it.
type View struct {
	// Revision is 8 hex digits; it changes with topology and accessibility, not with load.
	Revision string
	// RecommendedID is the first server that is online and accessible; 0 = none.
	RecommendedID int64
	// LoadUpdatedAt is when the youngest load in the list was heard, up to heardStep too early; zero when nothing was heard.
	LoadUpdatedAt time.Time
	Servers       []ListedServer
	// all are the servers in the order of their ids, offline ones too.
	all []ListedServer
}

// any returns a server by id, offline or not.
func (v *View) any(id int64) (*ListedServer, bool) {
	i, ok := slices.BinarySearchFunc(v.all, id, func(l ListedServer, id int64) int { return cmp.Compare(l.ID, id) })
	if !ok {
		return nil, false
	}
	return &v.all[i], true
}

// ServerList is the list of servers for one device.
type ServerList struct {
	View *View
	// KeyServerIDs are the servers on which the device has a key, ascending.
	KeyServerIDs []int64
}

// Servers returns the available servers as the actor's device meets them: also without a subscription, then locked.
func (s *Service) Servers(ctx context.Context, a *Actor, ref DeviceRef) (ServerList, error) {
	var list ServerList
	device, err := s.device(ctx, a, ref)
	if err != nil {
		return list, err
	}
	e, err := s.entitlement(ctx, a.User.ID)
	if err != nil {
		return list, err
	}
	if list.View, err = s.view(ctx, e, access(&a.User, e, s.now())); err != nil {
		return list, err
	}
	if device != nil {
		list.KeyServerIDs, err = s.store.DeviceServers(ctx, device.ID)
	}
	return list, err
}

// directoryTTL is how old the snapshot of servers and loads may be. Loads are up to 15 s old when they arrive, and the
// API promises 30 s.
const directoryTTL = time.Second

// heardStep is how much younger the loads must be for views to be made anew when nothing else changed: what is made
// from a view is kept as long as the view.
const heardStep = 10 * time.Second

// directory keeps the snapshot of all servers and the views made from it.
type directory struct {
	mu      sync.Mutex
	builtAt time.Time
	heardAt time.Time // the views' LoadUpdatedAt
	servers []ListedServer
	views   map[standing]*View
}

// standing is what of a user decides how the servers look.
type standing struct {
	tier   int
	reason Code
}

// drop makes the next reader build the directory anew.
func (d *directory) drop() {
	d.mu.Lock()
	d.builtAt = time.Time{}
	d.mu.Unlock()
}

// view returns the list of servers for a user's standing.
func (s *Service) view(ctx context.Context, e *Entitlement, a Access) (*View, error) {
	d := &s.directory
	d.mu.Lock()
	defer d.mu.Unlock()
	now := s.now()
	if d.builtAt.IsZero() || now.Sub(d.builtAt) >= directoryTTL || now.Before(d.builtAt) {
		servers, err := s.store.Servers(ctx)
		if err != nil {
			return nil, err
		}
		listed, heardAt := s.listed(servers), s.loadUpdatedAt(servers)
		if d.views == nil || heardAt.Sub(d.heardAt) >= heardStep || !slices.EqualFunc(listed, d.servers, sameListed) {
			d.servers, d.heardAt, d.views = listed, heardAt, make(map[standing]*View)
		}
		d.builtAt = now
	}
	key := standing{tier: e.Plan.Tier, reason: a.Reason}
	if v := d.views[key]; v != nil {
		return v, nil
	}
	v := newView(d.servers, key)
	v.LoadUpdatedAt = d.heardAt
	d.views[key] = v
	return v, nil
}

// sameListed reports whether two snapshots of a server would read the same to a client.
func sameListed(a, b ListedServer) bool {
	return a.Status == b.Status && a.ActiveConnections == b.ActiveConnections && a.UpdatedAt.Equal(b.UpdatedAt) && a.ID == b.ID && a.Ports() == b.Ports()
}

// listed joins the kept servers with the live state of their nodes.
func (s *Service) listed(servers []Server) []ListedServer {
	out := make([]ListedServer, 0, len(servers))
	for i := range servers {
		live := s.nodes.Live(servers[i].ID)
		l := ListedServer{Server: servers[i], ActiveConnections: live.ActiveDevices, Status: statusOf(&servers[i], live)}
		if l.Capacity > 0 {
			l.Load = min(100, (100*live.ActiveDevices+l.Capacity-1)/l.Capacity)
		}
		l.Score = score(&l)
		out = append(out, l)
	}
	return out
}

// statusOf joins what an operator wants with what the node says.
func statusOf(server *Server, live NodeLive) ServerStatus {
	switch {
	case server.State == ServerMaintenance:
		return StatusMaintenance
	case server.State == ServerDrained || !live.IsOnline:
		return StatusOffline
	case server.Capacity > 0 && live.ActiveDevices >= server.Capacity:
		return StatusFull
	default:
		return StatusOnline
	}
}

// score orders servers: 1 for an idle one, 2.25 for a loaded one, and far behind what cannot be used now.
func score(l *ListedServer) float64 {
	v := 1 + 1.25*float64(l.Load)/100
	switch l.Status {
	case StatusFull:
		v += 10
	case StatusMaintenance:
		v += 100
	case StatusOnline, StatusOffline:
	}
	return math.Round(v*100) / 100
}

// newView sorts the available servers for a standing and names the revision.
func newView(servers []ListedServer, st standing) *View {
	v := &View{Servers: make([]ListedServer, 0, len(servers)), all: servers}
	for i := range servers {
		l := servers[i]
		if l.Status == StatusOffline {
			continue
		}
		switch {
		case st.reason != "":
			l.LockedReason = st.reason
		case l.Tier > st.tier:
			l.LockedReason = CodePlanUpgradeRequired
		}
		v.Servers = append(v.Servers, l)
	}
	v.Revision = revision(v.Servers)
	slices.SortStableFunc(v.Servers, func(a, b ListedServer) int {
		if (a.LockedReason == "") != (b.LockedReason == "") {
			if a.LockedReason == "" {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.ID, b.ID))
	})
	if len(v.Servers) > 0 && v.Servers[0].LockedReason == "" && v.Servers[0].Status == StatusOnline {
		v.RecommendedID = v.Servers[0].ID
	}
	return v
}

// revision digests what of a list is not load: which servers, as they were last changed, and whether they are open.
func revision(servers []ListedServer) string {
	h := sha256.New()
	var buf [17]byte
	for i := range servers {
		l := &servers[i]
		binary.BigEndian.PutUint64(buf[:], uint64(l.ID))
		binary.BigEndian.PutUint64(buf[8:], uint64(l.UpdatedAt.UnixMilli()))
		buf[16] = 0
		if l.Status == StatusMaintenance {
			buf[16] = 1
		}
		h.Write(buf[:])
		_, _ = io.WriteString(h, string(l.LockedReason)+"\n")
	}
	return hex.EncodeToString(h.Sum(nil)[:4])
}

// loadUpdatedAt is when the youngest of the loads was heard.
func (s *Service) loadUpdatedAt(servers []Server) time.Time {
	var at time.Time
	for i := range servers {
		if live := s.nodes.Live(servers[i].ID); live.At.After(at) {
			at = live.At
		}
	}
	return at
}
