package web

import (
	"testing"
	"time"

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
	first, second := w.servers[0].ID, w.servers[1].ID
	if typed := p.form("/admin/config").values(); typed.Get("first") != "" || typed.Get("hold") != "1" || typed.Get("keep_old") != "24" {
		t.Errorf("the defaults are %v", typed)
	}
	for _, wrong := range [][3]string{
		{"ports", "9000-8999", "Ports: a port from 1 to 65535"},
		{"https_port", "-1", "HTTPS port: There is no such choice."},
		{"servers", "one", "Numbers of servers: there is no such server"},
		{"hold", "10081", "Minutes for a stage: from 0 to 10080 minutes"},
		{"hold", "307445735", "Minutes for a stage: from 0 to 10080 minutes"}, // half a minute, in 64 bits of nanoseconds
		{"keep_old", "0", "old ports stay open: from 1 to 720 hours"},
		{"keep_old", "721", "old ports stay open: from 1 to 720 hours"},
		{"keep_old", "a day", "old ports stay open: from 1 to 720 hours"},
		{"keep_old", "5124096", "old ports stay open: from 1 to 720 hours"}, // half an hour, likewise
	} {
		pairs := append([]string{"ports", "9000", "first", number(second)}, wrong[0], wrong[1])
		again := v.submit(p, "/admin/config", pairs...).says(422, wrong[2])
		if marked := again.find("input", "aria-invalid", "true"); marked.attr("name") != wrong[0] || marked.attr("value") != wrong[1] {
			t.Errorf("%s: another field is marked, or what was typed is gone", wrong)
		}
		if again.form("/admin/config").values().Get("first") != number(second) {
			t.Errorf("%s: the first node that was chosen is gone", wrong)
		}
	}
	for _, none := range []string{"x", "0", number(w.servers[2].ID)} {
		v.submit(p, "/admin/config", "ports", "9000", "first", none).says(422, "First node: it is not among those")
	}
	again := v.submit(p, "/admin/config", "ports", "9000", "servers", number(first), "first", number(second), "keep_old", "48").says(422, "First node: it is not among those")
	if again.find("select", "aria-invalid", "true").attr("name") != "first" {
		t.Error("another field is marked")
	}
	if typed := again.form("/admin/config").values(); typed.Get("first") != number(second) || typed.Get("servers") != number(first) || typed.Get("keep_old") != "48" {
		t.Errorf("of what was typed %v is left", typed)
	}
	v.submit(p, "/admin/config").says(422, "nothing would change")
	w.nodes.offline.Store(second)
	offers := v.open("/admin/config").find("select", "name", "first").text()
	if want := "Stile chooses" + number(first) + " · Амстердам 1" + number(second) + " · Helsinki 2 (offline)"; offers != want {
		t.Errorf("the first node is one of %q, want %q", offers, want)
	}
	w.nodes.offline.Store(0)

	p = v.submit(p, "/admin/config", "ports", "9000-9015", "https_port", "0", "first", number(second), "keep_old", "48").
		says(200, "The configuration is published", "Configuration 1", "running", "Shadowsocks 9000-9015", "no HTTPS", "one node", "0 of 2", "waits its turn")
	v.submit(p, "/admin/config", "ports", "9100").says(409, "Another configuration of nodes is on its way")
	if st := must(w.service.ConfigStatus(t.Context(), vpn.Shell()))(t); st.WaitsFor != second || st.Rollout.KeepOld != 48*time.Hour || st.Rollout.Hold != time.Minute {
		t.Errorf("%+v waits for %d", st.Rollout, st.WaitsFor)
	}
	w.nodes.offline.Store(second)
	v.open("/admin/config").says(200, "It waits for the node of “"+w.servers[1].Name, "Go on without it")
	w.nodes.offline.Store(0)
	w.says(second, 0, 8388, 1)
	p = v.open("/admin/config").says(200, "stopped", "the table says why", "refused", "address already in use", "Go on without it")
	p = v.submit(p, "/admin/config/resume").says(200, "The configuration goes on.", "Configuration 2", "running")
	w.says(second, 2, 9000, 0)
	p = v.submit(p, "/admin/config/abort").says(200, "The configuration is aborted.", "aborted", "1 of 2")
	v.post("/admin/config/abort").says(409)
	v.post("/admin/config/resume", "leave", number(second)).says(409)
	p = v.submit(p, "/admin/config/rollback").says(200, "The nodes return to what they had.", "as before 2", "taken back")
	if p.find("form", "action", "/admin/config/rollback") != nil {
		t.Error("it can be rolled back again")
	}
	w.nodes.offline.Store(second)
	v.open("/admin/config").says(200, "1 node is away: it gets the configuration when it is back.", "when it is back")
	w.nodes.offline.Store(0)
	v.post("/admin/config/rollback").says(409)
	v.post("/admin/config/resume", "leave", number(second)).says(200, "The configuration goes on.") // the node that does not come back
	v.open("/admin/audit").says(200, "config.publish", "config.resume", "config.abort", "config.rollback")
}

func configurationFlow(w *world, b *tab) {
	w.takesConfigurations()
	b.open("/admin/servers")
	b.click("a[href='/admin/config']")
	b.sees("Порты и протоколы", "Ports and protocols")
	b.fill("input[name=ports]", "9000-9015")
	b.choose("select[name=first]", number(w.servers[1].ID))
	b.fill("input[name=servers]", number(w.servers[0].ID))
	b.fill("input[name=keep_old]", "48")
	b.click("section button.primary")
	b.sees("Первый узел: его нет среди тех", "First node: it is not among those")
	b.forget("422")
	b.audit("console configuration refused")
	b.fill("input[name=servers]", "")
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
