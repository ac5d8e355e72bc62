package wire

import "testing"

func TestPortsRefuseOnePast(t *testing.T) {
	for _, p := range []Ports{{1, 1, 0}, {8388, 16, 443}, {65_535, 1, 65_534}, {8388, MaxPorts, 8387}, {8388, 16, 8404}} {
		if err := p.Check(); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for _, p := range []Ports{
		{0, 1, 0}, {-1, 1, 0}, {1, 0, 0}, {65_535, 2, 0}, {65_536, 1, 0}, {1, MaxPorts + 1, 0}, {1 << 62, 1 << 62, 0}, {8388, 1, 65_536}, {8388, 1, -1},
		{8388, 16, 8388}, {8388, 16, 8403},
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
