package web

import (
	"testing"

	"stile/vpn"
)

// says is what a server's node tells of itself: what it serves, and what it refused.
func (w *world) says(server int64, rev int64, port int, refused int64) {
	w.t.Helper()
	s := vpn.NodeServing{NodeConfig: vpn.NodeConfig{Rev: rev, NodePorts: vpn.NodePorts{Shadowsocks: port, Count: 16, Method: "aes-256-gcm"}}, RefusedRev: refused}
	if refused != 0 {
		s.Refusal = "listen tcp :9000: address already in use"
	}
	must(w.service.NoteServing(w.t.Context(), server, s))(w.t)
}

// takesConfigurations makes the nodes of the first two servers take configurations.
func (w *world) takesConfigurations() {
	w.t.Helper()
	for _, server := range w.servers[:2] {
		w.says(server.ID, 0, 8388, 0)
	}
}

func TestConsoleConfigurationWithoutJavaScript(t *testing.T) {
	w := setup(t).populate()
	v := w.signedIn(operatorEmail, "en")
	v.open("/admin/servers").says(200, "Ports and protocols")
	p := v.open("/admin/config").says(200, "Ports and protocols", "left out", "Begin with one node")
	v.submit(p, "/admin/config", "ports", "9000-9015").says(422, "Numbers of servers: there is no such server, or its node takes no configurations.")
	w.takesConfigurations()
	p = v.open("/admin/config")
	for field, wrong := range map[string][2]string{
		"ports":      {"9000-8999", "Ports: a port from 1 to 65535"},
		"https_port": {"-1", "HTTPS port: There is no such choice."},
		"servers":    {"one", "Numbers of servers: there is no such server"},
		"hold":       {"10081", "Minutes for a stage: There is no such choice."},
	} {
		pairs := []string{field, wrong[0]}
		if field != "ports" {
			pairs = append(pairs, "ports", "9000")
		}
		if p := v.submit(p, "/admin/config", pairs...).says(422, wrong[1]); p.find("input", "name", field).attr("value") != wrong[0] {
			t.Errorf("%s: what was typed is gone", field)
		}
	}
	v.submit(p, "/admin/config").says(422, "nothing would change")
	first, second := w.servers[0].ID, w.servers[1].ID

	p = v.submit(p, "/admin/config", "ports", "9000-9015", "https_port", "0").
		says(200, "The configuration is published", "Configuration 1", "running", "Shadowsocks 9000-9015", "no HTTPS", "one node", "0 of 2", "waits its turn")
	v.submit(p, "/admin/config", "ports", "9100").says(409, "Another configuration of nodes is on its way")
	asked := first
	if must(w.service.ConfigStatus(t.Context(), vpn.Shell()))(t).WaitsFor == second {
		asked = second
	}
	w.nodes.offline.Store(asked)
	v.open("/admin/config").says(200, "It waits for the node of “"+w.servers[asked-first].Name, "Go on without it")
	w.nodes.offline.Store(0)
	w.says(asked, 0, 8388, 1)
	p = v.open("/admin/config").says(200, "stopped", "the table says why", "refused", "address already in use", "Go on without it")
	p = v.submit(p, "/admin/config/resume").says(200, "The configuration goes on.", "Configuration 2", "running")
	w.says(asked, 2, 9000, 0)
	p = v.submit(p, "/admin/config/abort").says(200, "The configuration is aborted.", "aborted", "1 of 2")
	v.post("/admin/config/abort").says(409)
	v.post("/admin/config/resume", "leave", number(asked)).says(409)
	p = v.submit(p, "/admin/config/rollback").says(200, "The nodes return to what they had.", "as before 2", "taken back")
	if p.find("form", "action", "/admin/config/rollback") != nil {
		t.Error("it can be rolled back again")
	}
	v.post("/admin/config/rollback").says(409)
	v.post("/admin/config/resume", "leave", number(asked)).says(200, "The configuration goes on.") // the node that does not come back
	v.open("/admin/audit").says(200, "config.publish", "config.resume", "config.abort", "config.rollback")
}

func configurationFlow(w *world, b *tab) {
	w.takesConfigurations()
	b.open("/admin/servers")
	b.click("a[href='/admin/config']")
	b.sees("Порты и протоколы", "Ports and protocols")
	b.fill("input[name=ports]", "9000-9015")
	b.click("section button.primary")
	b.sees("начинает один узел", "one node begins")
	b.audit("console configuration published")
	for _, server := range w.servers[:2] {
		w.says(server.ID, 0, 8388, 1)
	}
	b.open("/admin/config")
	b.sees("Причина отказа", "Refusal")
	b.sees("остановлена", "stopped")
	b.audit("console configuration stopped")
	b.press("button.danger[popovertarget=undo]")
	b.audit("console configuration to be rolled back")
	b.click("#undo button.solid")
	b.sees("Узлы возвращаются к прежнему.", "The nodes return to what they had.")
}
