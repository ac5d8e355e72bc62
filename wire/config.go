package wire

import "errors"

// CapConfig in a Hello's Caps says that the node takes a Config, and that the Hello says what it serves.
const CapConfig = 1

// Ports are where a node's data planes listen, and what they speak there: what of a node can be configured. What limits a
// user comes with each key.
type Ports struct {
	// Shadowsocks is the first of Count consecutive ports, TCP and UDP.
	Shadowsocks int64 `json:"shadowsocks_port"`
	Count       int64 `json:"shadowsocks_ports"`
	// Method is what Shadowsocks speaks there.
	Method string `json:"shadowsocks_method"`
	// HTTPS is the port of the HTTPS proxy; 0 = there is none.
	HTTPS int64 `json:"https_port"`
}

// ErrPorts is what Ports.Check returns.
var ErrPorts = errors.New("wire: ports are not a range from 1 to 65535 beside which there is one for HTTPS, or 0")

// MaxPorts bounds Ports.Count.
const MaxPorts = 4096

// Check says whether a node can listen there at all.
func (p Ports) Check() error {
	if p.Shadowsocks < 1 || p.Count < 1 || p.Count > MaxPorts || p.Shadowsocks > 1<<16-p.Count || p.HTTPS < 0 || p.HTTPS > 65_535 || p.holds(p.HTTPS) {
		return ErrPorts
	}
	return nil
}

// holds reports whether a port is one of Shadowsocks'.
func (p Ports) holds(port int64) bool { return port >= p.Shadowsocks && port < p.Shadowsocks+p.Count }

// Config is a node's configuration. It takes effect as a whole or not at all. Its revisions have nothing to do with those of
// keys; none is ever given out twice, and a node never goes to a lower one.
type Config struct {
	Rev int64
	Ports
	// KeepSeconds is how long ports of before that are not among these go on taking connections: clients have keys that
	// name them.
	KeepSeconds int64
}

// ConfigWhy says why a node refused a Config.
type ConfigWhy byte

// Reasons of a refusal; what it hit is in Serving.Detail.
const (
	// ConfigPorts: a port cannot be listened on.
	ConfigPorts ConfigWhy = 1
	// ConfigPinned: the node's own flags say otherwise.
	ConfigPinned ConfigWhy = 2
	// ConfigLacks: the node lacks what it takes, such as a certificate.
	ConfigLacks ConfigWhy = 3
	// ConfigDisk: the node could not write.
	ConfigDisk ConfigWhy = 4
	// ConfigUnfit: no node can be configured so.
	ConfigUnfit ConfigWhy = 5
)

// Serving is what a node says of its configuration: what it serves, and what it refused last.
type Serving struct {
	// Rev is that of the last Config that took effect; 0: none ever did. Ports are what is served, whoever said so.
	Rev int64 `json:"rev"`
	Ports
	// RefusedRev is above Rev, or 0: nothing was refused since.
	RefusedRev int64     `json:"refused_rev,omitempty"`
	Why        ConfigWhy `json:"why,omitempty"`
	Detail     string    `json:"detail,omitempty"`
}

// ConfigReport tells what the node serves: when that changed, and in answer to each Config.
type ConfigReport struct {
	Session uint64
	Serving Serving
}

// Type is TypeConfig.
func (*Config) Type() FrameType { return TypeConfig }

func (f *Config) appendTo(b []byte) []byte {
	return appendInts(appendPorts(appendInts(b, f.Rev), &f.Ports), f.KeepSeconds)
}

func (f *Config) readFrom(r *reader) {
	f.Rev = r.int()
	readPorts(r, &f.Ports)
	f.KeepSeconds = r.int()
}

// Type is TypeConfigReport.
func (*ConfigReport) Type() FrameType { return TypeConfigReport }

func (f *ConfigReport) appendTo(b []byte) []byte {
	return appendServing(appendUints(b, f.Session), &f.Serving)
}

func (f *ConfigReport) readFrom(r *reader) {
	f.Session = r.uint()
	readServing(r, &f.Serving)
}

func appendPorts(b []byte, p *Ports) []byte {
	return appendText(appendInts(b, p.Shadowsocks, p.Count, p.HTTPS), p.Method)
}

func readPorts(r *reader, p *Ports) {
	p.Shadowsocks, p.Count, p.HTTPS, p.Method = r.int(), r.int(), r.int(), r.text()
}

func appendServing(b []byte, s *Serving) []byte {
	b = appendInts(appendPorts(appendInts(b, s.Rev), &s.Ports), s.RefusedRev)
	return appendText(append(b, byte(s.Why)), s.Detail)
}

func readServing(r *reader, s *Serving) {
	s.Rev = r.int()
	readPorts(r, &s.Ports)
	s.RefusedRev, s.Why, s.Detail = r.int(), ConfigWhy(r.byte()), r.text()
}
