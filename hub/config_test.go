package hub

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stile/vpn"
	"stile/wire"
)

// configs is a store with what is wanted of node 1, and what it said.
type configs struct {
	*set
	mu     sync.Mutex
	wanted vpn.NodeConfig
	noted  []vpn.NodeServing
	isDown bool
}

func (c *configs) note(_ context.Context, _ int64, s vpn.NodeServing) (vpn.ConfiguredNode, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isDown {
		return vpn.ConfiguredNode{}, errors.New("no database")
	}
	c.noted = append(c.noted, s)
	return vpn.ConfiguredNode{NodeServing: s, Wanted: c.wanted}, nil
}

func (c *configs) last() vpn.NodeServing {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.noted) == 0 {
		return vpn.NodeServing{}
	}
	return c.noted[len(c.noted)-1]
}

func (c *configs) ConfiguredNode(context.Context, int64) (vpn.ConfiguredNode, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return vpn.ConfiguredNode{Wanted: c.wanted}, nil
}

func (c *configs) PendingConfigs(context.Context) ([]vpn.NodeRev, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []vpn.NodeRev{{NodeID: 1, Rev: c.wanted.Rev}}, nil
}

func (c *configs) want(rev int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = vpn.NodeConfig{Rev: rev, NodePorts: vpn.NodePorts{Shadowsocks: 9000, Count: 4}}
}

func TestConfigurationsAreSentUntilTheyAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, log := &configs{set: newSet()}, new(strings.Builder)
		h, err := New(Config{Store: c, NoteServing: c.note, Log: slog.New(slog.NewTextHandler(log, nil)),
			RecordUsage: func(_ context.Context, r vpn.UsageReport) (uint64, error) { return r.Seq, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		running := make(chan error)
		go func() { running <- h.Run(ctx) }()
		defer func() { cancel(); <-running }()
		served := wire.Ports{Shadowsocks: 8388, Count: 16}

		c.isDown = true // what it serves cannot be written down, so it is not online
		if err := <-joinAs(ctx, t, h, &wire.Hello{NodeID: 1, Caps: wire.CapConfig, Serving: wire.Serving{Ports: served}}).ended; err == nil || h.Live(1).IsOnline {
			t.Errorf("a node whose ports nobody knows: %v", err)
		}
		c.isDown = false
		p := joinAs(ctx, t, h, &wire.Hello{NodeID: 1, Caps: wire.CapConfig, Serving: wire.Serving{Ports: served}})
		p.sync()
		if got := c.last().NodePorts; got != (vpn.NodePorts{Shadowsocks: 8388, Count: 16}) {
			t.Errorf("noted: %+v", got)
		}
		c.want(5)
		config := take[*wire.Config](p)
		again := take[*wire.Config](p) // the answer may be lost
		if *config != (wire.Config{Rev: 5, Ports: wire.Ports{Shadowsocks: 9000, Count: 4}}) || *again != *config {
			t.Errorf("sent %+v, then %+v", config, again)
		}
		p.send(&wire.ConfigReport{Session: p.session, Serving: wire.Serving{Ports: served, RefusedRev: 5, Why: wire.ConfigPorts, Detail: "port\x00 9001"}})
		synctest.Wait()
		if got := c.last(); got.RefusedRev != 5 || got.Refusal != "a port cannot be listened on: port 9001" {
			t.Errorf("noted: %+v", got)
		}
		c.want(6)
		if got := take[*wire.Config](p); got.Rev != 6 {
			t.Errorf("sent %+v", got)
		}
		p.send(&wire.ConfigReport{Session: p.session + 1, Serving: wire.Serving{Rev: 7, Ports: served}}) // of an earlier stream
		p.send(&wire.ConfigReport{Session: p.session, Serving: wire.Serving{Rev: 6, Ports: config.Ports}})
		p.send(&wire.ConfigReport{Session: p.session, Serving: wire.Serving{Ports: served, RefusedRev: 5}}) // late
		synctest.Wait()
		if got := c.last(); got.Rev != 6 || got.RefusedRev != 0 || len(c.noted) != 3 {
			t.Errorf("noted: %+v", c.noted)
		}
		p.send(&wire.ConfigReport{Session: p.session, Serving: wire.Serving{Rev: 9}})
		if err := <-p.ended; err == nil || !strings.Contains(err.Error(), "ports that cannot be") {
			t.Errorf("a report without ports: %v", err)
		}
	})
}

// A node of an earlier release is sent nothing that it does not know.
func TestOldNodesAreLeftAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &configs{set: newSet()}
		c.want(5)
		h, err := New(Config{Store: c, NoteServing: c.note, Log: slog.New(slog.DiscardHandler),
			RecordUsage: func(_ context.Context, r vpn.UsageReport) (uint64, error) { return r.Seq, nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		running := make(chan error)
		go func() { running <- h.Run(ctx) }()
		defer func() { cancel(); <-running }()
		p := join(ctx, t, h, 1)
		p.sync()
		for range 20 {
			p.send(&wire.NodeBeat{Session: p.session, Epoch: 1, Rev: 1})
			time.Sleep(5 * time.Second)
			short, stop := context.WithTimeout(ctx, time.Millisecond)
			for f, err := p.link.Receive(short); err == nil; f, err = p.link.Receive(short) {
				if _, isConfig := f.(*wire.Config); isConfig {
					t.Fatalf("sent %+v", f)
				}
			}
			stop()
		}
		if len(c.noted) != 0 {
			t.Errorf("noted of an old node: %+v", c.noted)
		}
		_ = p.link.Close()
		<-p.ended
	})
}
