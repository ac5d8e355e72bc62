package feed

import (
	"fmt"

	"stile/wire"
)

// maxKeepSeconds bounds how long ports of before stay open: a little more than can be asked for.
const maxKeepSeconds = 31 * 24 * 3600

// configNode is the node's side of its configuration. It takes a configuration in this order: ports are opened, the
// configuration is written down, what was opened is served, the server is told. Whatever fails, what was served goes on
// being served, and the revision is refused for good: who wants another try gives the same another revision.
type configNode struct {
	// isFixed: the node takes none.
	isFixed bool
	// serving is what the node serves, and what it refused last.
	serving wire.Serving
	pending *wire.Config
}

// configure takes a configuration that is above all before.
func (n *Node) configure(c *wire.Config) []Effect {
	n.config.pending = nil
	switch s := &n.config.serving; {
	case n.config.isFixed:
		return nil
	case c.Rev <= max(s.Rev, s.RefusedRev):
		return n.tellServing() // it came twice, or late
	case c.Check() != nil || c.KeepSeconds < 0 || c.KeepSeconds > maxKeepSeconds:
		return n.refuseConfig(c.Rev, wire.ConfigUnfit, "")
	}
	n.config.pending = c
	return []Effect{OpenPorts{*c}}
}

// portsOpened goes on when the ports are open.
func (n *Node) portsOpened(why wire.ConfigWhy, detail string) []Effect {
	c := n.config.pending
	if c == nil {
		return nil
	}
	if why != 0 {
		n.config.pending = nil
		return n.refuseConfig(c.Rev, why, detail)
	}
	return []Effect{KeepConfig{Serving: wire.Serving{Rev: c.Rev, Ports: c.Ports}, Config: c}}
}

// configKept goes on when a configuration, or that one was refused, is on disk.
func (n *Node) configKept(isDone bool) []Effect {
	c := n.config.pending
	n.config.pending = nil
	switch {
	case c == nil && !isDone: // the refusal counts until the process ends
		return append([]Effect{Alarm{"that a configuration was refused cannot be written down"}}, n.tellServing()...)
	case c == nil:
		return n.tellServing()
	case !isDone:
		return append([]Effect{DropPorts{}}, n.refuseConfig(c.Rev, wire.ConfigDisk, "")...)
	}
	n.config.serving = wire.Serving{Rev: c.Rev, Ports: c.Ports}
	out := append([]Effect{ServePorts{*c}}, n.tellServing()...)
	if n.phase == nodeLive {
		out = append(out, Measure{}) // a sign of life by the new configuration, at once
	}
	return out
}

func (n *Node) refuseConfig(rev int64, why wire.ConfigWhy, detail string) []Effect {
	s := &n.config.serving
	s.RefusedRev, s.Why, s.Detail = rev, why, detail
	return []Effect{Alarm{fmt.Sprintf("configuration %d is refused, what was served goes on: %s", rev, WhyRefused(s))}, KeepConfig{Serving: *s}}
}

func (n *Node) tellServing() []Effect {
	if n.phase != nodeLive {
		return nil
	}
	return []Effect{Send{&wire.ConfigReport{Session: n.session, Serving: n.config.serving}}}
}

// WhyRefused says in words why a node refused a configuration; "" when it refused none.
func WhyRefused(s *wire.Serving) string {
	words := map[wire.ConfigWhy]string{
		wire.ConfigPorts: "a port cannot be listened on", wire.ConfigPinned: "the node's own flags say otherwise",
		wire.ConfigLacks: "the node lacks what it takes", wire.ConfigDisk: "the node cannot write its disk",
		wire.ConfigUnfit: "no node can be configured so",
	}
	switch word := words[s.Why]; {
	case s.RefusedRev == 0:
		return ""
	case word == "":
		return fmt.Sprintf("reason %d, of a later version", s.Why)
	case s.Detail == "":
		return word
	default:
		return word + ": " + s.Detail
	}
}
