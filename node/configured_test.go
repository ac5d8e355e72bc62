package node

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"stile/dataplane"
	"stile/feed"
	"stile/wire"
)

// anyPorts can listen everywhere.
type anyPorts struct{ now wire.Ports }

func (p *anyPorts) Serving() wire.Ports { return p.now }
func (p *anyPorts) Open(context.Context, wire.Ports) (wire.ConfigWhy, string) {
	return 0, ""
}
func (p *anyPorts) Serve(next wire.Ports, _ func(dataplane.Plane)) { p.now = next }
func (p *anyPorts) Drop()                                          {}
func (p *anyPorts) Leave(wire.Ports)                               {}

// However often a control plane moves a node's ports, few of before stay open.
func TestPortsOfBeforeAreFew(t *testing.T) {
	now := time.Now()
	ledger := dataplane.NewLedger(time.Now)
	defer ledger.Close()
	ports := &anyPorts{wire.Ports{Shadowsocks: 1000, Count: 1}}
	a := &Agent{cfg: Config{Dir: t.TempDir(), Ports: ports, Ledger: ledger, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)},
		disk: &disk{sync: func(*os.File) error { return nil }}}
	a.machine = feed.NewNode(feed.NodeConfig{ID: 1, Serving: &wire.Serving{Ports: ports.now}}, feed.NewState(), nil)
	a.step(t.Context(), feed.Ticked{Now: 1})
	a.step(t.Context(), feed.Connected{})
	a.step(t.Context(), feed.Received{Frame: &wire.Welcome{Epoch: 1, Mode: wire.ModeResume}})
	rev := int64(0)
	move := func() int64 {
		rev++
		a.step(t.Context(), feed.Received{Frame: &wire.Config{Rev: rev, Ports: wire.Ports{Shadowsocks: 1000 + rev, Count: 1}, KeepSeconds: 60}})
		return ports.now.Shadowsocks - 1000
	}
	for range maxOldPorts {
		if served := move(); served != rev {
			t.Fatalf("serves %d, want %d", served, rev)
		}
	}
	if served := move(); served != maxOldPorts || len(a.configured.Old) != maxOldPorts {
		t.Errorf("serves %d beside %d of before", served, len(a.configured.Old))
	}
	now = now.Add(time.Minute)
	a.leaveOld(now)
	if served := move(); served != rev || len(a.configured.Old) != 1 {
		t.Errorf("later it serves %d beside %d of before", served, len(a.configured.Old))
	}
}
