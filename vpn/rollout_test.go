package vpn_test

import (
	"cmp"
	"slices"
	"sync"
	"testing"
	"time"

	"stile/accesskey"
	"stile/store/storetest"
	"stile/vpn"
)

// fleet is a bench whose nodes take configurations.
type fleet struct {
	*bench
	servers []vpn.Server
}

// newFleet has so many servers, whose nodes are online and serve the ports of their servers.
func newFleet(t *testing.T, b *bench, n int) *fleet {
	t.Helper()
	f := &fleet{bench: b}
	for len(f.servers) < n {
		s := b.addServer("node "+string(rune('a'+len(f.servers)/26))+string(rune('a'+len(f.servers)%26)), 1)
		f.servers = append(f.servers, s)
		f.says(s.ID, 0, s.Ports(), 0)
	}
	return f
}

// says has a node say what it serves, and what it refused.
func (f *fleet) says(id, rev int64, p vpn.NodePorts, refused int64) vpn.ConfiguredNode {
	f.t.Helper()
	s := vpn.NodeServing{NodeConfig: vpn.NodeConfig{Rev: rev, NodePorts: p}, RefusedRev: refused}
	if refused != 0 {
		s.Refusal = "a port cannot be listened on"
	}
	n, err := f.NoteServing(f.t.Context(), id, s)
	if err != nil {
		f.t.Fatal(err)
	}
	f.beat(id)
	return n
}

// beat is a sign of life.
func (f *fleet) beat(id int64) {
	f.nodes.mu.Lock()
	defer f.nodes.mu.Unlock()
	f.nodes.live[id] = vpn.NodeLive{IsOnline: true, At: f.now, ActiveDevices: int(id)}
}

func (f *fleet) away(id int64) {
	f.nodes.mu.Lock()
	defer f.nodes.mu.Unlock()
	f.nodes.live[id] = vpn.NodeLive{}
}

func (f *fleet) status() *vpn.ConfigStatus {
	f.t.Helper()
	st, err := f.ConfigStatus(f.t.Context(), shell)
	if err != nil {
		f.t.Fatal(err)
	}
	return st
}

// asked are the nodes that wait for what is wanted of them.
func (f *fleet) asked() []vpn.NodeRev {
	f.t.Helper()
	pending, err := f.store.PendingConfigs(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	return pending
}

// obey has the nodes that are asked serve what is wanted.
func (f *fleet) obey() int {
	f.t.Helper()
	asked := f.asked()
	for _, a := range asked {
		n, err := f.store.ConfiguredNode(f.t.Context(), a.NodeID)
		if err != nil {
			f.t.Fatal(err)
		}
		f.says(n.NodeID, n.Wanted.Rev, n.Wanted.NodePorts, 0)
	}
	return len(asked)
}

func (f *fleet) advance() {
	f.t.Helper()
	if err := f.AdvanceConfig(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// later lets time pass; all nodes go on living.
func (f *fleet) later(d time.Duration) {
	f.now = f.now.Add(d)
	for i := range f.servers {
		if f.nodes.Live(f.servers[i].ID).IsOnline {
			f.beat(f.servers[i].ID)
		}
	}
}

func (f *fleet) is(state vpn.RolloutState, stage int) {
	f.t.Helper()
	if r := f.status().Rollout; r.State != state || r.Stage != stage {
		f.t.Errorf("the roll-out is %s in stage %d, want %s in %d", r.State, r.Stage, state, stage)
	}
}

func (f *fleet) publish(p vpn.Publication) vpn.Rollout {
	f.t.Helper()
	r, err := f.PublishConfig(f.t.Context(), shell, p)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// to is a publication of other Shadowsocks ports for all.
func to(port int) vpn.Publication {
	return vpn.Publication{Change: vpn.ConfigChange{ShadowsocksPort: port, ShadowsocksPorts: 4}, Hold: time.Minute, KeepOld: vpn.DefaultKeepOld}
}

// A stage begins when every node of those before serves the configuration, long enough, and has given a sign of life since.
func TestARolloutGoesOnInStages(t *testing.T) {
	f := newFleet(t, setup(t), 150)
	f.publish(to(9000))
	for i, want := range []int{1, 1, 13, 135} { // of 1, 2, 15 and 150
		f.is(vpn.RolloutRunning, i+1)
		asked := f.asked()
		if len(asked) != want {
			t.Fatalf("stage %d asks %d nodes, want %d", i+1, len(asked), want)
		}
		if i == 0 && asked[0].NodeID != f.servers[0].ID {
			t.Errorf("node %d is first, and not the one with the fewest devices", asked[0].NodeID)
		}
		f.later(time.Hour)
		f.advance() // nobody serves it
		f.is(vpn.RolloutRunning, i+1)
		f.obey()
		f.later(time.Minute - time.Millisecond)
		f.advance()
		f.is(vpn.RolloutRunning, i+1) // not for long enough
		last := asked[len(asked)-1].NodeID
		f.away(last)
		f.later(time.Minute)
		if f.advance(); want != 135 { // one that is away does not hold up the end
			f.is(vpn.RolloutRunning, i+1)
		}
		f.beat(last)
		f.advance()
	}
	f.is(vpn.RolloutDone, vpn.StageAll)
	for _, n := range f.status().Nodes {
		if n.IsAble && n.Server.ShadowsocksPort != 9000 {
			t.Errorf("server %d still names port %d", n.Server.ID, n.Server.ShadowsocksPort)
		}
	}
}

func TestARefusalStopsTheRollout(t *testing.T) {
	f := newFleet(t, setup(t), 20)
	ctx := t.Context()
	r := f.publish(to(9000))
	f.obey()
	f.later(time.Minute)
	f.advance()
	f.is(vpn.RolloutRunning, vpn.StageTenth) // 1 % of 20 is the one that has it
	id := f.asked()[0].NodeID
	old := f.servers[1].Ports()
	f.says(id, 0, old, r.Rev)
	f.is(vpn.RolloutStopped, vpn.StageTenth)
	f.later(time.Hour)
	f.advance()
	f.is(vpn.RolloutStopped, vpn.StageTenth)
	if n := len(f.asked()); n != 0 {
		t.Errorf("%d nodes are asked by a roll-out that is stopped", n)
	}
	_, err := f.PublishConfig(ctx, shell, to(9100))
	f.refused(err, vpn.CodeRolloutState)
	_, err = f.ResumeConfig(ctx, shell, []int64{9999})
	f.refused(err, vpn.CodeValidationFailed)

	// Resumed, those that refused are asked again under another revision; once more they refuse, and are left.
	again, err := f.ResumeConfig(ctx, shell, nil)
	if err != nil || again.Rev <= r.Rev {
		t.Fatalf("resumed as %d: %v", again.Rev, err)
	}
	if n := len(f.asked()); n != 2 {
		t.Errorf("%d nodes are asked, want the two of the stages so far", n)
	}
	f.says(id, 0, old, again.Rev)
	f.is(vpn.RolloutStopped, vpn.StageTenth)
	if _, err = f.ResumeConfig(ctx, shell, []int64{id}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.obey()
		f.later(time.Minute)
		f.advance()
	}
	f.is(vpn.RolloutDone, vpn.StageAll)
	if n, _ := f.store.ConfiguredNode(ctx, id); n.NodePorts != old || n.IsPending() {
		t.Errorf("a node that was left: %+v", n)
	}

	// Taken back, all that had it return to their own ports, under a revision above all.
	back, err := f.RollBackConfig(ctx, shell)
	if err != nil || back.Rev <= again.Rev || back.Undoes == 0 {
		t.Fatalf("%+v, %v", back, err)
	}
	if n := f.obey(); n != 19 {
		t.Errorf("%d nodes return, want 19", n)
	}
	f.later(time.Minute)
	f.advance()
	f.is(vpn.RolloutDone, vpn.StageAll)
	for _, n := range f.status().Nodes {
		if n.IsAble && n.Server.ShadowsocksPort != 8388 {
			t.Errorf("server %d names port %d", n.Server.ID, n.Server.ShadowsocksPort)
		}
	}
	_, err = f.RollBackConfig(ctx, shell)
	f.refused(err, vpn.CodeRolloutState)
	_, err = f.AbortConfig(ctx, shell)
	f.refused(err, vpn.CodeRolloutState)
}

func TestAnAbortedRolloutEndsWhereItIs(t *testing.T) {
	f := newFleet(t, setup(t), 12)
	f.publish(to(9000))
	first := f.asked()[0].NodeID
	f.obey()
	f.later(time.Minute)
	f.advance()
	second := f.asked()[0].NodeID
	if _, err := f.AbortConfig(t.Context(), shell); err != nil {
		t.Fatal(err)
	}
	f.later(time.Hour)
	f.advance()
	if n := len(f.asked()); n != 0 {
		t.Errorf("%d nodes are still asked", n)
	}
	for _, n := range f.status().Nodes {
		if want := map[bool]int{true: 9000, false: 8388}[n.NodeID == first]; n.IsAble && n.Server.ShadowsocksPort != want {
			t.Errorf("server %d names port %d, want %d", n.NodeID, n.Server.ShadowsocksPort, want)
		}
	}
	// One that was asked already may serve it all the same, and is believed.
	r := f.status().Rollout
	f.says(second, r.Rev, vpn.NodePorts{Shadowsocks: 9000, Count: 4, Method: accesskey.MethodAES256GCM}, 0)
	if n, _ := f.store.ConfiguredNode(t.Context(), second); n.IsPending() || n.Shadowsocks != 9000 {
		t.Errorf("%+v", n)
	}
}

// Nodes that are away in the last stage get the configuration when they are back, and the next one with it.
func TestANodeThatIsAwayGetsItLater(t *testing.T) {
	f := newFleet(t, setup(t), 3)
	late := f.servers[2].ID
	f.away(late)
	f.publish(to(9000))
	obey := func(id int64) {
		n, _ := f.store.ConfiguredNode(t.Context(), id)
		f.says(id, n.Wanted.Rev, n.Wanted.NodePorts, 0)
	}
	obey(f.servers[0].ID)
	f.later(time.Minute)
	f.advance()
	obey(f.servers[1].ID)
	f.later(time.Minute)
	f.advance()
	f.is(vpn.RolloutDone, vpn.StageAll)
	if asked := f.asked(); len(asked) != 1 || asked[0].NodeID != late {
		t.Fatalf("asked are %v", asked)
	}
	stands := func() (states []string) {
		st := f.status()
		for i := range st.Nodes {
			if st.Nodes[i].IsAble {
				states = append(states, st.ConfigState(&st.Nodes[i]))
			}
		}
		return states
	}
	if states := stands(); !slices.Equal(states, []string{"serving", "serving", "away"}) {
		t.Errorf("the nodes are %v", states)
	}
	f.beat(late)
	if states := stands(); states[2] != "asked" {
		t.Errorf("back again it is %s", states[2])
	}
	f.away(late)
	https := 443
	f.publish(vpn.Publication{Change: vpn.ConfigChange{HTTPSPort: &https}, ServerIDs: []int64{late}, Hold: time.Minute, KeepOld: vpn.DefaultKeepOld})
	obey(late)
	if n, _ := f.store.ConfiguredNode(t.Context(), late); n.NodePorts != (vpn.NodePorts{Shadowsocks: 9000, Count: 4, Method: accesskey.MethodAES256GCM, HTTPS: 443}) {
		t.Errorf("it serves %+v", n.NodePorts)
	}
}

// Keys name what the node serves, whatever is wanted of it, and from the moment that it serves something else.
func TestKeysNameTheServedPorts(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	a, _ := b.signIn("user@example.com", "phone")
	f := &fleet{bench: b}
	servers, _ := b.AllServers(ctx, shell)
	s := servers[0].Server
	f.servers = []vpn.Server{s}
	f.says(s.ID, 0, s.Ports(), 0)
	named := func() vpn.NodePorts {
		t.Helper()
		k, err := b.IssueKey(ctx, a, vpn.IssueKey{ServerID: s.ID})
		if err != nil {
			t.Fatal(err)
		}
		return k.Server.Ports()
	}
	served := s.Ports()
	s.ShadowsocksPort, s.HTTPSPort, s.City.EN, s.ShadowsocksMethod = 9000, 443, "Amsterdam", accesskey.Method2022AES128
	wanted := s.Ports()
	if err := b.UpdateServer(ctx, shell, s); err != nil {
		t.Fatal(err)
	}
	if got := named(); got != served {
		t.Errorf("a key names %+v while its node serves %+v", got, served)
	}
	renamed := s
	renamed.Name = "renamed meanwhile"
	renamed.ShadowsocksPort, renamed.HTTPSPort, renamed.ShadowsocksMethod = served.Shadowsocks, served.HTTPS, served.Method
	if err := b.UpdateServer(ctx, shell, renamed); err != nil {
		t.Errorf("another name, with the ports of still: %v", err)
	}
	if err := b.UpdateServer(ctx, shell, s); err != nil { // wants nothing else
		t.Errorf("the same once more: %v", err)
	}
	f.obey()
	if got := named(); got != wanted {
		t.Errorf("a key names %+v when its node serves %+v", got, wanted)
	}
	if servers, _ = b.AllServers(ctx, shell); servers[0].City.EN != "Amsterdam" || !servers[0].Offers(vpn.HTTPS) {
		t.Errorf("%+v", servers[0].Server)
	}
	s.ShadowsocksPort = 9100
	b.refused(b.UpdateServer(ctx, shell, s), vpn.CodeRolloutState) // the first is not ended
	f.advance()
	if err := b.UpdateServer(ctx, shell, s); err != nil {
		t.Errorf("after the first has ended: %v", err)
	}
}

func TestPublicationsAreChecked(t *testing.T) {
	f := newFleet(t, setup(t), 2)
	port := func(n int) vpn.ConfigChange { return vpn.ConfigChange{HTTPSPort: &n} }
	for name, p := range map[string]vpn.Publication{
		"nothing":             {},
		"a port too high":     {Change: vpn.ConfigChange{ShadowsocksPort: 65_535, ShadowsocksPorts: 2}},
		"too many ports":      {Change: vpn.ConfigChange{ShadowsocksPort: 1, ShadowsocksPorts: 4097}},
		"HTTPS within":        {Change: port(8390)},
		"HTTPS too high":      {Change: port(65_536)},
		"an unknown server":   {Change: port(443), ServerIDs: []int64{77_777}},
		"one without a node":  {Change: port(443), ServerIDs: []int64{1}},
		"first is no member":  {Change: port(443), ServerIDs: []int64{f.servers[0].ID}, First: f.servers[1].ID},
		"held for too long":   {Change: port(443), Hold: 7*24*time.Hour + 1},
		"held negatively":     {Change: port(443), Hold: -1},
		"kept for too short":  {Change: port(443), KeepOld: time.Minute - 1},
		"kept for too long":   {Change: port(443), KeepOld: 30*24*time.Hour + 1},
		"an unknown method":   {Change: vpn.ConfigChange{Method: "rot13"}},
		"a negative port":     {Change: port(-1)},
		"no ports at a port":  {Change: vpn.ConfigChange{ShadowsocksPort: 9000}},
		"a negative range":    {Change: vpn.ConfigChange{ShadowsocksPort: -1, ShadowsocksPorts: 1}},
		"a server given once": {Change: port(443), ServerIDs: []int64{f.servers[0].ID, 99_999}},
	} {
		p.KeepOld = cmp.Or(p.KeepOld, vpn.DefaultKeepOld)
		if _, err := f.PublishConfig(t.Context(), shell, p); vpn.CodeOf(err) != vpn.CodeValidationFailed {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.PublishConfig(t.Context(), shell, vpn.Publication{Change: port(443)}); vpn.CodeOf(err) != vpn.CodeValidationFailed {
		t.Errorf("kept for no time: %v", err)
	}
	if r := f.status().Rollout; r != nil {
		t.Errorf("a refused publication left %+v", r)
	}
	f.publish(vpn.Publication{Change: port(443), First: f.servers[1].ID, KeepOld: time.Minute})
	if asked := f.asked(); len(asked) != 1 || asked[0].NodeID != f.servers[1].ID {
		t.Errorf("asked first: %v", asked)
	}
}

// Two services on one PostgreSQL take each step of a roll-out once.
func TestReplicasTakeEachStepOnce(t *testing.T) {
	dsn := storetest.Postgres(t)
	b := setupOn(t, dsn)
	f := newFleet(t, b, 12)
	other := vpn.NewService(b.open(dsn), b.nodes, plainPasswords{}, vpn.Config{Now: b.clock})
	f.publish(to(9000))
	for _, want := range []struct{ stage, asked int }{{vpn.StageTenth, 1}, {vpn.StageAll, 10}} {
		f.obey()
		f.later(time.Minute)
		var both sync.WaitGroup
		for range 4 {
			both.Go(f.advance)
			both.Go(func() {
				if err := other.AdvanceConfig(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		f.is(vpn.RolloutRunning, want.stage)
		if n := len(f.asked()); n != want.asked {
			t.Errorf("in stage %d %d nodes are asked, want %d", want.stage, n, want.asked)
		}
	}
}

// What a node says that it serves is what keys name: a method that nobody speaks, or ports that cannot be, is not written down.
func TestPortsThatCannotBeAreNotNoted(t *testing.T) {
	f := newFleet(t, setup(t), 1)
	id, ports := f.servers[0].ID, f.servers[0].Ports()
	for name, change := range map[string]func(*vpn.NodePorts){
		"another method":          func(p *vpn.NodePorts) { p.Method = "rot13\u202e" },
		"no method":               func(p *vpn.NodePorts) { p.Method = "" },
		"a port past all numbers": func(p *vpn.NodePorts) { p.Shadowsocks = 1<<63 - 1 },
		"no port":                 func(p *vpn.NodePorts) { p.Shadowsocks = 0 },
	} {
		said := ports
		change(&said)
		if _, err := f.NoteServing(t.Context(), id, vpn.NodeServing{NodeConfig: vpn.NodeConfig{Rev: 5, NodePorts: said}}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	server, err := f.NodeServer(t.Context(), id)
	if err != nil || server.Ports() != ports {
		t.Errorf("keys name %+v, %v", server.Ports(), err)
	}
}
