package cli

import (
	"bytes"
	"strings"
	"testing"

	"stile/accesskey"
	"stile/vpn"
)

// A roll-out is done without a node that is away; the status says that the node gets it later.
func TestConfigStatusNamesWhoIsAway(t *testing.T) {
	flags := databaseFlags{Data: t.TempDir()}
	stile := func(args string) string {
		t.Helper()
		var out bytes.Buffer
		if code := Run(t.Context(), append(strings.Fields(args), "--data", flags.Data), &Terminal{Out: &out, Err: &out}); code != 0 {
			t.Fatalf("stile %s: exit code %d\n%s", args, code, &out)
		}
		return out.String()
	}
	stile("server add Oslo --country NO --host o.example.net")
	serving := vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: vpn.NodePorts{Shadowsocks: 8388, Count: 16, Method: accesskey.MethodAES256GCM}}}
	within := func(do func(s *vpn.Service) error) {
		t.Helper()
		if err := flags.use(t.Context(), do); err != nil {
			t.Fatal(err)
		}
	}
	within(func(s *vpn.Service) error { _, err := s.NoteServing(t.Context(), 1, serving); return err })
	stile("config publish --ports 9000-9015")
	within(func(s *vpn.Service) error { return s.AdvanceConfig(t.Context()) })
	said := stile("config status")
	for _, want := range []string{"done, stage one; 0 of 1 nodes serve it\n", "Away, and given it when they come back: 1\n"} {
		if !strings.Contains(said, want) {
			t.Errorf("without %q:\n%s", want, said)
		}
	}
	if said := stile("config status --json"); !strings.Contains(said, `"state": "away"`) {
		t.Errorf("as JSON:\n%s", said)
	}
	serving.Rev, serving.Shadowsocks = 1, 9000
	within(func(s *vpn.Service) error { _, err := s.NoteServing(t.Context(), 1, serving); return err })
	if said := stile("config status"); !strings.Contains(said, "done, stage one; 1 of 1 nodes serve it\n") || strings.Contains(said, "Away") {
		t.Errorf("when it was back:\n%s", said)
	}
}
