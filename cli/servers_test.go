package cli

import (
	"testing"

	"stile/wire"
)

// The best server for a protocol is one that speaks it, however near and idle others are.
func TestOnlyServersThatSpeakTheProtocolAreChosen(t *testing.T) {
	servers := []wire.Server{{ID: 1, Protocols: []string{"shadowsocks"}}, {ID: 2, Protocols: []string{"shadowsocks", "https"}}}
	for protocol, want := range map[string]int{"": 2, "shadowsocks": 2, "https": 1, "wireguard": 0} {
		if got := speaking(matching(servers, "best"), protocol); len(got) != want || want == 1 && got[0].ID != 2 {
			t.Errorf("%q: %v", protocol, got)
		}
	}
}
