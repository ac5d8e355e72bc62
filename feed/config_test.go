package feed

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"stile/wire"
)

// configured is a node that takes configurations, welcomed.
func configured(t *testing.T, s wire.Serving) *Node {
	t.Helper()
	n := NewNode(NodeConfig{ID: 1, BootID: 2, Serving: &s}, NewState(), nil)
	n.Step(Ticked{Now: 1000})
	n.Step(Connected{})
	n.Step(Received{&wire.Welcome{Session: session, Epoch: 1, Mode: wire.ModeDelta, HeartbeatSeconds: 15}})
	return n
}

func report(s wire.Serving) Effect { return Send{&wire.ConfigReport{Session: session, Serving: s}} }

func TestNodeOpensThenKeepsThenServesThenTells(t *testing.T) {
	before, after := firstPorts(1), firstPorts(2)
	n := configured(t, wire.Serving{Rev: 4, Ports: before})
	c := wire.Config{Rev: 5, Ports: after, KeepSeconds: 60}
	if out := n.Step(Received{&c}); !reflect.DeepEqual(out, []Effect{OpenPorts{c}}) {
		t.Fatalf("first %+v", out)
	}
	served := wire.Serving{Rev: 5, Ports: after}
	if out := n.Step(PortsOpened{}); !reflect.DeepEqual(out, []Effect{KeepConfig{Serving: served, Config: &c}}) {
		t.Fatalf("then %+v", out)
	}
	if out := n.Step(ConfigKept{true}); !reflect.DeepEqual(out, []Effect{ServePorts{c}, report(served), Measure{}}) {
		t.Fatalf("then %+v", out)
	}
	for _, rev := range []int64{5, 4, 1} { // late, or twice
		if out := n.Step(Received{&wire.Config{Rev: rev, Ports: before}}); !reflect.DeepEqual(out, []Effect{report(served)}) {
			t.Errorf("revision %d: %+v", rev, out)
		}
	}
}

func TestNodeRefusesForGood(t *testing.T) {
	before, after := firstPorts(1), firstPorts(2)
	n := configured(t, wire.Serving{Rev: 4, Ports: before})
	refused := wire.Serving{Rev: 4, Ports: before, RefusedRev: 5, Why: wire.ConfigPorts, Detail: "taken"}
	c := wire.Config{Rev: 5, Ports: after}
	n.Step(Received{&c})
	if out := n.Step(PortsOpened{Why: wire.ConfigPorts, Detail: "taken"}); !reflect.DeepEqual(out[1:], []Effect{KeepConfig{Serving: refused}}) {
		t.Errorf("a port that is taken: %+v", out)
	}
	if out := n.Step(ConfigKept{true}); !reflect.DeepEqual(out, []Effect{report(refused)}) {
		t.Errorf("then %+v", out)
	}
	if out := n.Step(Received{&c}); !reflect.DeepEqual(out, []Effect{report(refused)}) {
		t.Errorf("once more: %+v", out)
	}

	// A full disk: what was opened is closed, and what was served goes on.
	n.Step(Received{&wire.Config{Rev: 6, Ports: after}})
	n.Step(PortsOpened{})
	refused = wire.Serving{Rev: 4, Ports: before, RefusedRev: 6, Why: wire.ConfigDisk}
	if out := n.Step(ConfigKept{false}); len(out) != 3 || !reflect.DeepEqual(out[0], DropPorts{}) || !reflect.DeepEqual(out[2], KeepConfig{Serving: refused}) {
		t.Errorf("a full disk: %+v", out)
	}
	if out := n.Step(ConfigKept{false}); len(out) != 2 || !reflect.DeepEqual(out[1], report(refused)) {
		t.Errorf("then %+v", out)
	}
	n.Step(Received{&wire.Config{Rev: 7, Ports: wire.Ports{Shadowsocks: 65_535, Count: 2}}})
	if s := n.config.serving; s.RefusedRev != 7 || s.Why != wire.ConfigUnfit || s.Ports != before {
		t.Errorf("ports that cannot be: %+v", s)
	}
	n.Step(Received{&wire.Config{Rev: 8, Ports: after, KeepSeconds: maxKeepSeconds + 1}})
	if s := n.config.serving; s.RefusedRev != 8 || s.Why != wire.ConfigUnfit {
		t.Errorf("ports of before for longer than can be: %+v", s)
	}
	if _, opens := has[OpenPorts](n.Step(Received{&wire.Config{Rev: 9, Ports: after, KeepSeconds: maxKeepSeconds}})); !opens {
		t.Error("ports of before for as long as can be are refused")
	}
}

func TestANodeWithoutPortsTakesNoConfiguration(t *testing.T) {
	n := joined(t, NewState())
	if out := n.Step(Received{&wire.Config{Rev: 5, Ports: firstPorts(1)}}); out != nil {
		t.Errorf("%+v", out)
	}
}

// isOfConfig reports whether an effect is about the configuration.
func isOfConfig(e Effect) bool {
	switch e := e.(type) {
	case NoteServing, ReadConfig:
		return true
	case Send:
		_, is := e.Frame.(*wire.Config)
		return is
	}
	return false
}

// Two streams get the same events of keys; one also all that can happen to a configuration. Both do the same with keys.
func TestConfigurationNeverTouchesTheKeys(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var streams [2]*Server
		var done [2][]Effect
		step := func(i int, e Event) {
			for _, f := range streams[i].Step(e) {
				if !isOfConfig(f) {
					done[i] = append(done[i], f)
				}
			}
		}
		db := newSimDB()
		for i := range streams {
			streams[i] = NewServer(ServerConfig{NodeID: 1, Session: session, Quarantine: Quarantine{}})
			step(i, Ticked{Now: 1000})
			step(i, Received{&wire.Hello{Proto: wire.Protocol, NodeID: 1, Caps: uint64(i) * wire.CapConfig, Serving: wire.Serving{Ports: firstPorts(1)}}})
			step(i, ConfigRead{}) // of the second; the first asked nothing
		}
		now := int64(1000)
		for range 100 {
			now += rng.Int64N(3000)
			if rng.IntN(3) == 0 {
				db.put(key(1 + rng.Int64N(5)))
			}
			rev := rng.Int64N(9)
			for _, e := range []Event{
				ConfigWoken{}, ConfigRead{wire.Config{Rev: rev, Ports: firstPorts(2)}}, ConfigFailed{},
				Received{&wire.ConfigReport{Session: session, Serving: wire.Serving{Rev: rev, Ports: firstPorts(2)}}},
				Received{&wire.ConfigReport{Session: session, Serving: wire.Serving{RefusedRev: rev, Ports: firstPorts(1)}}},
			} {
				if rng.IntN(2) == 0 {
					step(1, e)
				}
			}
			events := []Event{
				Ticked{Now: now}, Woken{}, PositionRead{db.position(), nil}, db.changes(streams[0].SentRev(), 3),
				SnapshotRead{db.position(), db.live(), nil}, ReadFailed{}, Entombed{},
				Received{&wire.Ack{Session: session, Epoch: 1, Rev: streams[0].SentRev()}},
				Received{&wire.NodeBeat{Session: session, Epoch: 1, Rev: streams[0].SentRev()}},
				Received{&wire.Revoked{Session: session, IsLast: true}},
			}
			e := events[rng.IntN(len(events))]
			for i := range streams {
				step(i, Received{&wire.NodeBeat{Session: session + 1}}) // a sign of life, as every frame is
				step(i, e)
			}
		}
		if !reflect.DeepEqual(done[0], done[1]) {
			t.Fatalf("seed %d: %d effects without a configuration, %d beside one", seed, len(done[0]), len(done[1]))
		}
	}
}
