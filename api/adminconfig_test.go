package api

import (
	"encoding/json"
	"net/http"
	"testing"

	"stile/vpn"
	"stile/wire"
)

// A script publishes a configuration, sees a node refuse it, goes on, and takes it back; a request that comes again is done once.
func TestConfigurationOfNodes(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			w := setup(t, engine.dsn(t))
			tellConfiguration(&admin{world: w, T: t, document: newDocument(t), token: w.owner()})
		})
	}
}

func tellConfiguration(a *admin) {
	t, w := a.T, a.world
	ctx := t.Context()
	server := must(w.service.AllServers(ctx, vpn.Shell()))(t)[0].ID
	says := func(rev int64, port int, refused int64) {
		s := vpn.NodeServing{NodeConfig: vpn.NodeConfig{Rev: rev, NodePorts: vpn.NodePorts{Shadowsocks: port, Count: 1, Method: "aes-256-gcm"}}, RefusedRev: refused}
		if refused != 0 {
			s.Refusal = "a port cannot be listened on"
		}
		must(w.service.NoteServing(ctx, server, s))(t)
	}
	post := func(path, body string, headers ...string) (r wire.AdminRollout, status int) {
		t.Helper()
		got := a.call("POST", path, body, headers...)
		if got.StatusCode == http.StatusOK {
			if err := json.Unmarshal([]byte(got.body), &r); err != nil {
				t.Fatal(err)
			}
		}
		return r, got.StatusCode
	}
	status := func() (c wire.AdminConfig) {
		t.Helper()
		if err := json.Unmarshal([]byte(a.call("GET", "/api/admin/config", "").body), &c); err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := status(); c.Rollout != nil || len(c.Nodes) == 0 || c.Nodes[0].IsAble {
		t.Errorf("before the first: %+v", c)
	}
	says(0, 8388, 0)
	body := `{"shadowsocks_port":9000,"servers":[` + id(server) + `],"hold_seconds":0}`
	made, code := post("/api/admin/config", body, "Idempotency-Key: one")
	if code != http.StatusOK || made.State != "running" || made.Stage != "one" || *made.ShadowsocksPorts != 1 || made.HTTPSPort != nil {
		t.Fatalf("%d %+v", code, made)
	}
	if again, code := post("/api/admin/config", body, "Idempotency-Key: one"); code != http.StatusOK || again.Rev != made.Rev {
		t.Errorf("the same again: %d, revision %d after %d", code, again.Rev, made.Rev)
	}
	if _, code := post("/api/admin/config", body); code != http.StatusConflict {
		t.Errorf("another while it runs: %d", code)
	}
	says(0, 8388, made.Rev)
	c := status()
	if c.Rollout.State != "stopped" || c.Rollout.Why == nil || *c.Nodes[0].State != "refused" || *c.Nodes[0].Refusal != "a port cannot be listened on" {
		t.Errorf("refused: %+v, %+v", c.Rollout, c.Nodes[0])
	}
	resumed, code := post("/api/admin/config/resume", "")
	if code != http.StatusOK || resumed.Rev <= made.Rev {
		t.Errorf("resumed: %d %+v", code, resumed)
	}
	says(resumed.Rev, 9000, 0)
	if c := status(); *c.Nodes[0].State != "serving" || c.Nodes[0].ShadowsocksPort != 9000 {
		t.Errorf("serving: %+v", c.Nodes[0])
	}
	if back, code := post("/api/admin/config/rollback", ""); code != http.StatusOK || back.Undoes == nil || *back.Undoes != resumed.Rev {
		t.Errorf("taken back: %d %+v", code, back)
	}
	if _, code := post("/api/admin/config/rollback", ""); code != http.StatusConflict {
		t.Errorf("taken back twice: %d", code)
	}
	var page wire.Page[wire.AdminRollout, int64]
	if err := json.Unmarshal([]byte(a.call("GET", "/api/admin/config/history?limit=2", "").body), &page); err != nil || len(page.Data) != 2 || page.Next == nil || *page.Next != resumed.Rev {
		t.Errorf("history: %+v, %v", page, err)
	}
}
