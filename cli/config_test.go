package cli

import (
	"testing"

	"stile/accesskey"
	"stile/vpn"
)

// A roll-out is done without a node that is away; the status says that the node gets it later.
func TestConfigStatusNamesWhoIsAway(t *testing.T) {
	flags := databaseFlags{Data: t.TempDir()}
	stile := func(args, want string) {
		t.Helper()
		says(t, []saying{{args, 0, want}}, "--data", flags.Data)
	}
	node := func(do func(s *vpn.Service) error) {
		t.Helper()
		if err := flags.use(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	stile("server add Oslo --country NO --host o.example.net", "Server 1 made")
	serving := vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: vpn.NodePorts{Shadowsocks: 8388, Count: 16, Method: accesskey.MethodAES256GCM}}}
	note := func(s *vpn.Service) error { _, err := s.NoteServing(t.Context(), 1, serving); return err }
	node(note)
	stile("config publish --ports 9000-9015", "Configuration 1 published")
	node(func(s *vpn.Service) error { return s.AdvanceConfig(t.Context()) })
	stile("config status", "done, stage one; 0 of 1 nodes serve it\nAway, and given it when they come back: 1\n")
	stile("config status --json", `"state": "away"`)
	serving.Rev, serving.Shadowsocks = 1, 9000
	node(note)
	stile("config status", "done, stage one; 1 of 1 nodes serve it\nID ")
}
