package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stile/accesskey"
	"stile/dataplane"
	"stile/dataplane/httpsproxy"
	"stile/dataplane/shadowsocks"
	"stile/node"
	"stile/wire"
)

// pins are ports that a node's own flags fix: no configuration moves them.
type pins struct{ shadowsocks, https bool }

// shadowsocksPlane is a plane of either edition.
type shadowsocksPlane interface {
	dataplane.Plane
	shadowsocks.Moving
	// Ports returns the first port and how many there were when it began to listen.
	Ports() (first, count int)
}

// moving are a node's planes as they go from ports to ports. It is a node.Ports.
type moving struct {
	shared     shadowsocks.Config // of the planes of every edition
	door       accesskey.Door
	pins       pins
	editions   map[string]shadowsocksPlane // by editionOf their methods
	httpsproxy *httpsproxy.Plane           // nil = there cannot be one
	// lacks says why there cannot be one; "" = for want of a certificate.
	lacks string

	// served are all ports that take connections, those of now last.
	served []wire.Ports
	// opened, by the plane to, and opening are what Open opened; opening is nil when the HTTPS proxy's port is open already,
	// or there is none. isFresh: the plane was made for it.
	opened  *shadowsocks.Opened
	to      shadowsocksPlane
	isFresh bool
	opening *httpsproxy.Listener
}

var _ node.Ports = (*moving)(nil)

// editionOf is what tells planes of Shadowsocks apart: one speaks both methods of AEAD-2018, and one each of AEAD-2022.
func editionOf(method string) string {
	if accesskey.PSKSize(method) == 0 {
		return ""
	}
	return method
}

// listenShadowsocks makes the plane that speaks a method, and listens unless ports is nil.
func (m *moving) listenShadowsocks(ctx context.Context, method string, ports *portRange) (plane shadowsocksPlane, err error) {
	c := m.shared
	if c.IsIdle = ports == nil; !c.IsIdle {
		c.Port, c.Ports = ports.first, ports.count
	}
	switch {
	case method == "" || method == accesskey.MethodAES256GCM || method == accesskey.MethodChaCha20:
		plane, err = shadowsocks.New(ctx, c)
	case accesskey.PSKSize(method) != 0:
		plane, err = shadowsocks.New2022(ctx, shadowsocks.Config2022{Config: c, Method: method, IdentityPSK: m.door.IdentityPSK(method)})
	default:
		return nil, fmt.Errorf("the server's Shadowsocks method is %q, which this version of Stile does not know: install a newer one", method)
	}
	if err != nil {
		return nil, fmt.Errorf("%w (choose others with --shadowsocks-ports)", err)
	}
	return plane, nil
}

// begin notes where the planes listen at first.
func (m *moving) begin(plane shadowsocksPlane, method string, https *httpsproxy.Listener) {
	m.editions[editionOf(method)] = plane
	first, count := plane.Ports()
	p := wire.Ports{Shadowsocks: int64(first), Count: int64(count), Method: cmp.Or(method, accesskey.MethodAES256GCM)}
	if https != nil {
		p.HTTPS = int64(https.Port())
	}
	m.served = []wire.Ports{p}
}

// resume serves ports of before beside those of now. What of them cannot be had any more is only told; begin gets a plane
// that is made for them.
func (m *moving) resume(ctx context.Context, old []node.OldPorts, begin func(dataplane.Plane)) {
	now := m.Serving()
	for _, o := range old {
		if o.Until <= time.Now().UnixMilli() || o.Ports == now || rangesMeet(o.Ports, now) && editionOf(o.Method) != editionOf(now.Method) {
			continue
		}
		if err := m.open(ctx, o.Ports); err != nil {
			m.shared.Log.Warn("ports of before cannot be opened again", "error", err)
			continue
		}
		m.Serve(o.Ports, begin)
	}
	m.served = append(slices.DeleteFunc(m.served, func(p wire.Ports) bool { return p == now }), now)
}

// rangesMeet reports whether two ranges of Shadowsocks ports share one.
func rangesMeet(a, b wire.Ports) bool {
	return a.Shadowsocks < b.Shadowsocks+b.Count && b.Shadowsocks < a.Shadowsocks+a.Count
}

// Serving implements node.Ports.
func (m *moving) Serving() wire.Ports { return m.served[len(m.served)-1] }

// shown is the range of Shadowsocks ports as it is printed.
func (m *moving) shown() portRange {
	now := m.Serving()
	return portRange{first: int(now.Shadowsocks), count: int(now.Count)}
}

// Open implements node.Ports.
func (m *moving) Open(ctx context.Context, p wire.Ports) (why wire.ConfigWhy, detail string) {
	now := m.Serving()
	switch {
	case !slices.Contains(accesskey.Methods(), p.Method):
		return wire.ConfigLacks, fmt.Sprintf("a version of Stile that knows the method %q", p.Method)
	case m.pins.shadowsocks && (p.Shadowsocks != now.Shadowsocks || p.Count != now.Count):
		return wire.ConfigPinned, "--shadowsocks-ports"
	case m.pins.https && p.HTTPS != now.HTTPS:
		return wire.ConfigPinned, "--https-port"
	case accesskey.PSKSize(p.Method) != 0 && m.door == accesskey.Door{}:
		return wire.ConfigLacks, noDoor
	case p.HTTPS != 0 && m.httpsproxy == nil && m.lacks != "":
		return wire.ConfigLacks, m.lacks
	case p.HTTPS != 0 && m.httpsproxy == nil:
		return wire.ConfigLacks, "a certificate for the HTTPS proxy, by --tls-cert and --tls-key or --acme"
	}
	if err := m.open(ctx, p); err != nil {
		return wire.ConfigPorts, err.Error()
	}
	return 0, ""
}

// noDoor is what a node lacks that joined before there were doors, and has not been told its own since.
const noDoor = "the door, by which issued keys are known: start the node again when the control plane can be reached"

func (m *moving) open(ctx context.Context, p wire.Ports) error {
	m.Drop()
	if p.HTTPS != 0 && m.httpsproxy == nil {
		return errors.New("there is no HTTPS proxy")
	}
	edition := editionOf(p.Method)
	m.to = m.editions[edition]
	var err error
	if m.isFresh = m.to == nil; m.isFresh {
		if m.to, err = m.listenShadowsocks(ctx, p.Method, nil); err != nil {
			return err
		}
	}
	var from shadowsocks.Moving // a port speaks one edition at a time
	if before := editionOf(m.Serving().Method); before != edition {
		from = m.editions[before]
	}
	if m.opened, err = m.to.Open(ctx, rangeOf(p), from); err != nil {
		m.Drop()
		return err
	}
	if p.HTTPS == 0 || m.httpsproxy.Listens(int(p.HTTPS)) {
		return nil
	}
	if m.opening, err = httpsproxy.Listen(ctx, m.shared.Host, int(p.HTTPS), m.shared.Log); err != nil {
		m.Drop()
	}
	return err
}

// Serve implements node.Ports.
func (m *moving) Serve(p wire.Ports, begin func(dataplane.Plane)) {
	if m.isFresh {
		m.editions[editionOf(p.Method)] = m.to
		begin(m.to)
	}
	m.to.Serve(m.opened)
	if m.opening != nil {
		m.httpsproxy.Serve(m.opening)
	}
	m.opened, m.opening, m.isFresh = nil, nil, false
	m.served = append(slices.DeleteFunc(m.served, func(q wire.Ports) bool { return q == p }), p)
}

// Drop implements node.Ports.
func (m *moving) Drop() {
	if m.opened != nil {
		m.opened.Close()
	}
	if m.opening != nil {
		_ = m.opening.Close()
	}
	m.opened, m.opening, m.isFresh = nil, nil, false
}

// Leave implements node.Ports.
func (m *moving) Leave(p wire.Ports) {
	if p == m.Serving() {
		return
	}
	m.served = slices.DeleteFunc(m.served, func(q wire.Ports) bool { return q == p })
	isKept := func(is func(q wire.Ports) bool) bool { return slices.ContainsFunc(m.served, is) }
	edition := editionOf(p.Method)
	if plane := m.editions[edition]; plane != nil && !isKept(func(q wire.Ports) bool { return rangeOf(q) == rangeOf(p) && editionOf(q.Method) == edition }) {
		plane.Leave(rangeOf(p))
	}
	if p.HTTPS != 0 && !isKept(func(q wire.Ports) bool { return q.HTTPS == p.HTTPS }) {
		m.httpsproxy.Leave(int(p.HTTPS))
	}
}

func rangeOf(p wire.Ports) shadowsocks.Range {
	return shadowsocks.Range{First: int(p.Shadowsocks), Count: int(p.Count)}
}
