package extension_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stile/internal/testbrowser"
	"stile/vpn"
)

func TestStoryInChromium(t *testing.T) {
	w := newWorld(t)
	tell(w, w.chromium(""))
}

func TestStoryInFirefox(t *testing.T) {
	w := newWorld(t)
	tell(w, w.firefox())
}

// story is a user with a browser in the world.
type story struct {
	*world
	b     testbrowser.Browser
	popup testbrowser.Page
	tab   testbrowser.Page
	leaks int // what the site may have seen of the browser itself
}

func tell(w *world, b testbrowser.Browser) {
	s := beginStory(w, b)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"sign in", s.signsIn},
		{"before", s.isDirect},
		{"connect", s.connects},
		{"many sites", s.opensManySites},
		{"cancelled", s.survivesCancelledDownloads},
		{"list", s.searchesAndFavours},
		{"options", s.changesOptions},
		{"bypass", s.opensSomeDirectly},
		{"webrtc", s.showsNoCandidates},
		{"switch", s.switches},
		{"rotate", s.rotates},
		{"worker killed", s.survivesTheWorker},
		{"no api", s.survivesTheAPI},
		{"server down", s.stopsWithTheServer},
		{"expiry", s.stopsAtTheExpiry},
		{"revoked", s.stopsWhenRevoked},
		{"sign out", s.signsOut},
	} {
		began := time.Now()
		step.do()
		if w.t.Failed() {
			w.t.Fatalf("at %q: %s", step.name, testbrowser.Value[string](w.t, s.popup, `JSON.stringify(await chrome.storage.local.get(["state"]))`))
		}
		w.t.Logf("%-14s %v", step.name, time.Since(began).Round(time.Millisecond))
	}
}

// reopen opens the popup and waits until it can be used.
func (s *story) reopen() {
	s.t.Helper()
	s.popup.Load(s.b.Extension() + "popup.html")
	testbrowser.Until(s.t, "the popup is drawn", func() bool { return testbrowser.Value[bool](s.t, s.popup, `document.body.dataset.ready === ""`) })
}

// click presses a button of the popup.
func (s *story) click(id string) {
	s.t.Helper()
	testbrowser.Value[any](s.t, s.popup, `document.getElementById(`+testbrowser.Quote(id)+`).click()`)
}

// fill types into fields of the popup and sends the form.
func (s *story) signIn(password string) {
	s.t.Helper()
	testbrowser.Value[any](s.t, s.popup, `(() => {
		document.getElementById("email").value = `+testbrowser.Quote(testEmail)+`;
		document.getElementById("password").value = `+testbrowser.Quote(password)+`;
		document.getElementById("credentials").requestSubmit();
	})()`)
}

// shows waits until the popup shows a text in an element.
func (s *story) shows(id, text string) {
	s.t.Helper()
	var last string
	for deadline := time.Now().Add(testbrowser.Patience); ; time.Sleep(20 * time.Millisecond) {
		last = testbrowser.Value[string](s.t, s.popup, `(() => { const e = document.getElementById(`+testbrowser.Quote(id)+`); return e.checkVisibility() ? e.innerText : ""; })()`)
		if strings.Contains(last, text) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s shows %q, not %q; the state is %s", id, last, text, testbrowser.Value[string](s.t, s.popup, `JSON.stringify((await chrome.storage.local.get(["state"])).state)`))
		}
	}
}

// way opens a page in the tab and returns which way the site says it came, "" when it did not arrive.
func (s *story) way(url string) string {
	s.t.Helper()
	if !s.tab.Load(url) {
		return ""
	}
	return testbrowser.Value[string](s.t, s.tab, `document.getElementById("way")?.innerText ?? ""`)
}

func (s *story) http(host string) string  { return "http://" + host + ":" + s.site.http + "/" }
func (s *story) https(host string) string { return "https://" + host + ":" + s.site.https + "/" }

// comesBy loads the site in every manner and wants it to come one way.
func (s *story) comesBy(want string) {
	s.t.Helper()
	for _, url := range []string{s.https(siteName), s.http(siteName)} {
		if got := s.way(url); got != want {
			s.t.Errorf("%s came by %q, want %q", url, got, want)
		}
	}
	s.noLeak()
}

// noLeak fails when the site has seen the browser itself since it connected.
func (s *story) noLeak() {
	s.t.Helper()
	if got := s.site.count(direct); got != s.leaks {
		s.t.Errorf("the site saw the browser itself %d times, want %d", got, s.leaks)
	}
}

// isStopped checks that nothing gets out, directly or otherwise.
func (s *story) isStopped() {
	s.t.Helper()
	before := s.site.count(nodeAddresses[0]) + s.site.count(nodeAddresses[1])
	for _, url := range []string{s.http(siteName), s.https(siteName), s.http(farName)} {
		if got := s.way(url); got != "" {
			s.t.Errorf("%s came by %q although everything is stopped", url, got)
		}
	}
	if after := s.site.count(nodeAddresses[0]) + s.site.count(nodeAddresses[1]); after != before {
		s.t.Errorf("%d requests came through a node although everything is stopped", after-before)
	}
	s.noLeak()
}

// nodeInUse is the index of the node that the worker's key opens.
func (s *story) nodeInUse() int {
	s.t.Helper()
	id := testbrowser.Value[int64](s.t, s.popup, `(await chrome.storage.local.get(["state"])).state.key.server`)
	for i := range s.servers {
		if s.servers[i].ID == id {
			return i
		}
	}
	s.t.Fatalf("no server %d", id)
	return 0
}

func (s *story) token() string {
	s.t.Helper()
	return testbrowser.Value[string](s.t, s.popup, `(await chrome.storage.local.get(["state"])).state.token`)
}

func (s *story) actor() *vpn.Actor {
	s.t.Helper()
	actor, err := s.service.Authenticate(s.t.Context(), s.token())
	if err != nil {
		s.t.Fatal(err)
	}
	return actor
}

func (s *story) signsIn() {
	s.signIn("wrong")
	s.shows("sign_in_error", "Wrong e-mail or password")
	s.signIn(testPassword)
	s.shows("status", "Not protected")
	s.shows("plan_days", "30 days left")
	s.shows("who", testEmail)
	s.click("server")
	s.shows("server_list", "Amsterdam 1")
	s.shows("server_list", "Berlin 1")
	s.shows("server_list", " ms")
	s.click("back")
}

// isDirect shows that the site would see a leak.
func (s *story) isDirect() {
	if got := s.way(s.https(siteName)); got != direct {
		s.t.Errorf("without a connection the page came by %q", got)
	}
	testbrowser.Until(s.t, "WebRTC finds something without a connection, or the test would see no leak", func() bool {
		return len(s.candidates()) > 0 && s.site.count(stunWay) > 0
	})
	s.leaks = s.site.count(direct)
}

func (s *story) connects() {
	s.click("power")
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[s.nodeInUse()])
	for _, url := range []string{s.http(farName), s.https(farName)} {
		if got := s.way(url); got != nodeAddresses[s.nodeInUse()] {
			s.t.Errorf("a name that only the node finds came by %q", got)
		}
	}
}

// opensManySites shows that a connection to the proxy is made for each without fail (doc/decisions/0046-firefox.md).
func (s *story) opensManySites() {
	for i := range 30 {
		url := s.https(strconv.Itoa(i) + "." + farName)
		if got := s.way(url); got != nodeAddresses[s.nodeInUse()] {
			s.t.Errorf("%s came by %q", url, got)
		}
	}
}

// survivesCancelledDownloads cancels downloads of one site while another one's goes on. In Firefox the cancelled ones may fall over each
// other, as the site speaks HTTP/1.1.
func (s *story) survivesCancelledDownloads() {
	other := s.b.Open(s.https(farName))
	s.way(s.https(siteName))
	testbrowser.Value[any](s.t, s.tab, `(() => { window.ended = ""; fetch("/drip").then(async r => { const x = r.body.getReader(); while (!(await x.read()).done); window.ended = "end"; }).catch(e => window.ended = String(e)); })()`)
	cancelled := testbrowser.Value[int](s.t, other, `(async () => {
		let cancelled = 0;
		for (let i = 0; i < 30; i++) {
			const c = new AbortController();
			try {
				const r = await fetch("/flood", { signal: c.signal });
				await r.body.getReader().read();
				await new Promise(done => setTimeout(done, 5));
				cancelled++;
			} catch {}
			c.abort();
		}
		return cancelled;
	})()`)
	if cancelled < 10 {
		s.t.Errorf("only %d downloads could be cancelled", cancelled)
	}
	if ended := testbrowser.Value[string](s.t, s.tab, `window.ended`); ended != "" {
		s.t.Errorf("a download ended with those that were cancelled: %s", ended)
	}
	other.Load("about:blank")
	s.tab.Load("about:blank")
}

// searchesAndFavours finds a server by a part of its name, and makes the last one the first.
func (s *story) searchesAndFavours() {
	rows := func() []string {
		return testbrowser.Value[[]string](s.t, s.popup, `[...document.querySelectorAll("#server_list b")].map(e => e.innerText)`)
	}
	search := func(text string) {
		testbrowser.Value[any](s.t, s.popup, `(() => { const e = document.getElementById("search"); e.value = `+testbrowser.Quote(text)+`; e.dispatchEvent(new Event("input")); })()`)
	}
	s.click("server")
	search(" bERL")
	if got := rows(); !slices.Equal(got, []string{"Berlin 1"}) {
		s.t.Errorf("the search finds %q", got)
	}
	search("nowhere")
	s.shows("none", "Nothing found")
	search("")
	all := rows()
	last := all[len(all)-1]
	testbrowser.Value[any](s.t, s.popup, `[...document.querySelectorAll(".star")].at(-1).click()`)
	s.reopen() // it is kept
	s.click("server")
	if got := rows(); len(got) != 3 || got[0] != "Best server" || got[1] != last {
		s.t.Errorf("after %s became a favourite the list is %q", last, got)
	}
	s.click("back")
}

// options opens the options and waits until they can be used.
func (s *story) options() testbrowser.Page {
	s.t.Helper()
	p := s.b.Open(s.b.Extension() + "options.html")
	testbrowser.Until(s.t, "the options are drawn", func() bool { return testbrowser.Value[bool](s.t, p, `!document.querySelector("main").hidden`) })
	return p
}

// changesOptions chooses another language and theme, and lets web pages use WebRTC for a while.
func (s *story) changesOptions() {
	options := s.options()
	set := func(id, change string) {
		s.t.Helper()
		testbrowser.Value[any](s.t, options, `(() => { const e = document.getElementById("`+id+`"); e.`+change+`; e.dispatchEvent(new Event("change")); })()`)
	}
	set("language", `value = "ru"`)
	s.shows("status", "Защищено")
	set("language", `value = "auto"`)
	s.shows("status", "Protected")
	set("theme", `value = "dark"`)
	testbrowser.Until(s.t, "the popup is dark", func() bool {
		return testbrowser.Value[string](s.t, s.popup, `getComputedStyle(document.documentElement).colorScheme`) == "dark"
	})
	set("theme", `value = "auto"`)
	set("webrtc", `checked = false`)
	testbrowser.Until(s.t, "pages find candidates again", func() bool { return len(s.candidates()) > 0 })
	set("webrtc", `checked = true`)
	s.leaks = s.site.count(direct)
	options.Load("about:blank")
}

// opensSomeDirectly opens the sites of the bypass list directly, and no other.
func (s *story) opensSomeDirectly() {
	options := s.options()
	add := func(pattern string) {
		testbrowser.Value[any](s.t, options, `(() => { document.getElementById("pattern").value = `+testbrowser.Quote(pattern)+`; document.getElementById("bypass").requestSubmit(); })()`)
	}
	add("no pattern")
	if !testbrowser.Value[bool](s.t, options, `document.getElementById("pattern_error").checkVisibility()`) {
		s.t.Error("a wrong pattern is not refused")
	}
	add("https://" + siteName + "/path")
	testbrowser.Until(s.t, "the site is opened directly", func() bool { return s.way(s.https(siteName)) == direct })
	if got := s.way(s.https(farName)); got != nodeAddresses[s.nodeInUse()] {
		s.t.Errorf("another site came by %q", got)
	}
	testbrowser.Value[any](s.t, options, `document.querySelector("#patterns button").click()`)
	testbrowser.Until(s.t, "the site goes through the node again", func() bool { return s.way(s.https(siteName)) == nodeAddresses[s.nodeInUse()] })
	s.leaks = s.site.count(direct)
	options.Load("about:blank")
}

// candidates are the addresses that a page learns through WebRTC.
func (s *story) candidates() []string {
	s.t.Helper()
	s.way(s.https(siteName))
	return testbrowser.Value[[]string](s.t, s.tab, `new Promise((done, failed) => {
		const found = [], c = new RTCPeerConnection({ iceServers: [{ urls: "stun:`+s.site.stun+`" }] });
		c.onicecandidate = e => e.candidate?.candidate ? found.push(e.candidate.candidate) : e.candidate === null && done(found);
		c.createDataChannel("x");
		c.createOffer().then(o => c.setLocalDescription(o)).catch(failed);
		setTimeout(() => done(found), 3000);
	})`)
}

func (s *story) showsNoCandidates() {
	before := s.site.count(stunWay)
	if found := s.candidates(); len(found) != 0 {
		s.t.Errorf("a page learns %q", found)
	}
	if after := s.site.count(stunWay); after != before {
		s.t.Errorf("%d datagrams went out past the node", after-before)
	}
}

func (s *story) switches() {
	other := 1 - s.nodeInUse()
	s.click("server")
	testbrowser.Value[any](s.t, s.popup, `document.querySelector('[data-key="s`+strconv.FormatInt(s.servers[other].ID, 10)+`"]').click()`)
	s.shows("server_name", s.servers[other].Name)
	s.shows("status", "Protected")
	testbrowser.Until(s.t, "the other node is in use", func() bool { return s.nodeInUse() == other })
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[other])
}

// rotates gets a new key as the user asks for it, and then finds that the key was replaced elsewhere.
func (s *story) rotates() {
	password := func() string {
		return testbrowser.Value[string](s.t, s.popup, `(await chrome.storage.local.get(["state"])).state.key.https.password`)
	}
	i, first := s.nodeInUse(), password()
	testbrowser.Value[any](s.t, s.popup, `chrome.runtime.sendMessage({ do: "rotate" })`)
	second := password()
	if second == first {
		s.t.Error("the key is still the old one")
	}
	s.comesBy(nodeAddresses[i])
	issued, err := s.service.IssueKey(s.t.Context(), s.actor(), vpn.IssueKey{ServerID: s.servers[i].ID, Protocol: vpn.HTTPS, Rotate: true})
	if err != nil {
		s.t.Fatal(err)
	}
	patient, cancel := context.WithTimeout(s.t.Context(), testbrowser.Patience) // the service itself waits two seconds
	defer cancel()
	if !s.hub.WaitApplied(patient, issued.Key.ServerID, issued.Key.Rev) {
		s.t.Fatal("the node never has the key")
	}
	s.comesBy(nodeAddresses[i])
	if password() == second {
		s.t.Error("the key that was replaced elsewhere is still in use")
	}
	s.shows("status", "Protected")
}

func (s *story) survivesTheWorker() {
	i := s.nodeInUse()
	for range 2 {
		s.b.KillWorker()
		s.comesBy(nodeAddresses[i])
	}
	s.b.KillWorker()
	s.reopen()
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[i])
}

// survivesTheAPI goes on with the last good key, also after a new start of the worker and of the connection.
func (s *story) survivesTheAPI() {
	i := s.nodeInUse()
	s.isDown.Store(true)
	testbrowser.Value[any](s.t, s.popup, `chrome.runtime.sendMessage({ do: "refresh", isForced: true })`)
	s.comesBy(nodeAddresses[i])
	s.b.KillWorker()
	s.comesBy(nodeAddresses[i])
	s.click("power")
	s.shows("status", "Not protected")
	s.click("power")
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[i])
	s.isDown.Store(false)
}

// stopsAtTheExpiry sees the subscription end, and begin again.
func (s *story) stopsAtTheExpiry() {
	i := s.nodeInUse()
	if err := s.service.SetExpiry(s.t.Context(), vpn.Shell(), s.user.ID, time.Now().Add(-time.Hour)); err != nil {
		s.t.Fatal(err)
	}
	testbrowser.Until(s.t, "the node has learned of it", func() bool { return s.way(s.https(siteName)) == "" })
	s.shows("problem_title", "The subscription has ended")
	s.shows("problem_action", "Renew")
	s.shows("status", "Connection stopped")
	s.isStopped()
	s.b.KillWorker()
	s.isStopped()
	if err := s.service.SetExpiry(s.t.Context(), vpn.Shell(), s.user.ID, time.Now().Add(240*time.Hour)); err != nil {
		s.t.Fatal(err)
	}
	s.reopen() // opening the popup looks at the subscription
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[i])
}

// stopsWithTheServer takes away the server that the user chose.
func (s *story) stopsWithTheServer() {
	i := s.nodeInUse()
	s.stops[i]()
	if got := s.way(s.https(siteName)); got != "" {
		s.t.Errorf("without its server a page came by %q", got)
	}
	s.shows("status", "Connection stopped")
	s.shows("problem_title", "The server")
	s.isStopped()
	s.shows("problem_action", "Use another server")
	s.click("problem_action")
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[1-i])
}

// stopsWhenRevoked signs the device out from elsewhere while it downloads.
func (s *story) stopsWhenRevoked() {
	i := s.nodeInUse()
	s.way(s.http(siteName))
	testbrowser.Value[any](s.t, s.tab, `(() => { window.ended = ""; fetch("/drip").then(async r => { const x = r.body.getReader(); for (;;) { const c = await x.read(); window.got = (window.got ?? 0) + (c.value?.length ?? 0); if (c.done) break; } }).then(() => window.ended = "end", e => window.ended = String(e)); })()`)
	testbrowser.Until(s.t, "the download runs", func() bool { return testbrowser.Value[bool](s.t, s.tab, `window.got > 8192`) })
	actor := s.actor()
	if err := s.service.RemoveDevice(s.t.Context(), actor, actor.Device.ID); err != nil {
		s.t.Fatal(err)
	}
	testbrowser.Until(s.t, "the download ends", func() bool { return testbrowser.Value[bool](s.t, s.tab, `window.ended !== ""`) })
	if got := s.way(s.https(siteName)); got != "" {
		s.t.Errorf("after the revocation a page came by %q", got)
	}
	s.shows("ended", "This device was signed out")
	s.isStopped()
	s.b.KillWorker()
	s.isStopped()
	s.signIn(testPassword)
	s.shows("status", "Protected")
	s.comesBy(nodeAddresses[i])
}

func (s *story) signsOut() {
	actor := s.actor()
	s.click("sign_out")
	s.shows("sign_in_button", "Sign in")
	testbrowser.Until(s.t, "the device is gone", func() bool {
		devices, err := s.service.Devices(s.t.Context(), actor)
		return err == nil && len(devices) == 0
	})
	testbrowser.Until(s.t, "pages come directly again", func() bool { return s.way(s.https(siteName)) == direct })
	kept := testbrowser.Value[string](s.t, s.popup, `JSON.stringify(await chrome.storage.local.get())`)
	for _, gone := range []string{testEmail, "password", "Amsterdam"} {
		if strings.Contains(kept, gone) {
			s.t.Errorf("after the sign-out %q is kept: %s", gone, kept)
		}
	}
}
