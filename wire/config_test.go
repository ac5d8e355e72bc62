package wire

import "testing"

func TestPortsRefuseOnePast(t *testing.T) {
	for _, p := range []Ports{{Shadowsocks: 1, Count: 1, HTTPS: 0}, {Shadowsocks: 8388, Count: 16, HTTPS: 443}, {Shadowsocks: 65_535, Count: 1, HTTPS: 65_534}, {Shadowsocks: 8388, Count: MaxPorts, HTTPS: 8387}, {Shadowsocks: 8388, Count: 16, HTTPS: 8404}} {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Ports{
		{Shadowsocks: 0, Count: 1, HTTPS: 0}, {Shadowsocks: -1, Count: 1, HTTPS: 0}, {Shadowsocks: 1, Count: 0, HTTPS: 0}, {Shadowsocks: 65_535, Count: 2, HTTPS: 0}, {Shadowsocks: 65_536, Count: 1, HTTPS: 0}, {Shadowsocks: 1, Count: MaxPorts + 1, HTTPS: 0}, {Shadowsocks: 1 << 62, Count: 1 << 62, HTTPS: 0}, {Shadowsocks: 1<<63 - 1, Count: 1, HTTPS: 0}, {Shadowsocks: 8388, Count: 1, HTTPS: 65_536}, {Shadowsocks: 8388, Count: 1, HTTPS: -1},
		{Shadowsocks: 8388, Count: 16, HTTPS: 8388}, {Shadowsocks: 8388, Count: 16, HTTPS: 8403},
	} {
		if p.Check() == nil {
			t.Errorf("%+v passes", p)
		}
	}
}

// A node that knows no configuration says nothing of it, in the very bytes that it always sent.
func TestHelloOfANodeWithoutConfigurationIsAsItWas(t *testing.T) {
	h := &Hello{Proto: Protocol, NodeID: 7, Serving: Serving{Rev: 5}}
	got, err := Decode(Encode(h))
	if err != nil || got.(*Hello).Serving != (Serving{}) {
		t.Errorf("%+v, %v", got, err)
	}
}
