package extension_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stile/extension"
	"stile/internal/testca"
	"stile/vpn"
)

// newStory is a user with a fresh Chromium.
func newStory(t testing.TB) *story {
	t.Helper()
	w := newWorld(t)
	return beginStory(w, startChromium(t, unpack(t, extension.Chromium, w.config()), testca.Pin(w.tls)))
}

func beginStory(w *world, b browser) *story {
	return &story{world: w, b: b, popup: b.open(b.extension() + "popup.html"), tab: b.open("about:blank")}
}

// signInElsewhere takes a device slot, as another client would.
func (w *world) signInElsewhere(name string) {
	w.t.Helper()
	_, err := w.service.SignIn(w.t.Context(), vpn.SignIn{Email: testEmail, Password: testPassword, ClientID: name, DeviceName: name})
	if err != nil {
		w.t.Fatal(err)
	}
}

// A full plan: the popup lists the devices, and the one that is chosen makes room.
func TestDeviceLimit(t *testing.T) {
	s := newStory(t)
	s.signInElsewhere("Old phone")
	s.signInElsewhere("Tablet")
	s.signIn(testPassword)
	s.shows("devices_text", "Your plan allows 2.")
	s.shows("device_list", "Old phone")
	if len(shots) > 0 {
		_ = os.WriteFile(filepath.Join(shots, "devices.png"), s.popup.shot(), 0o644)
	}
	for _, fault := range loadAxe(t).faults(t, s.popup) {
		t.Error(fault)
	}
	value[any](t, s.popup, `[...document.querySelectorAll("#device_list label")].find(l => l.innerText.includes("Old phone")).click()`)
	value[any](t, s.popup, `document.getElementById("replace").requestSubmit()`)
	s.shows("status", "Not protected")
	devices, err := s.service.Devices(t.Context(), s.actor())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range devices {
		names = append(names, devices[i].Name)
		if devices[i].Name != "Tablet" && devices[i].Platform != vpn.PlatformChrome {
			t.Errorf("%s is of the platform %s", devices[i].Name, devices[i].Platform)
		}
	}
	if got := strings.Join(names, ", "); len(names) != 2 || strings.Contains(got, "Old phone") || !strings.Contains(got, "Chrome on Linux") {
		t.Errorf("the devices are %s", got)
	}
}

// A browser that is started again is connected without being told, though it has forgotten the credentials.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	home, dir := t.TempDir(), unpack(t, extension.Chromium, w.config())
	b := startChromiumIn(t, home, dir, testca.Pin(w.tls))
	s := beginStory(w, b)
	s.connect()
	i := s.nodeInUse()
	b.stop()
	s = beginStory(w, startChromiumIn(t, home, dir, testca.Pin(w.tls)))
	s.shows("status", "Protected")
	s.leaks = s.site.count(direct)
	s.comesBy(nodeAddresses[i])
}

func (s *story) connect() {
	s.t.Helper()
	s.signIn(testPassword)
	s.shows("status", "Not protected")
	s.click("power")
	s.shows("status", "Protected")
}

// Sites of the bypass list are opened directly, and nothing else.
func TestBypass(t *testing.T) {
	s := newStory(t)
	s.connect()
	options := s.b.open(s.b.extension() + "options.html")
	add := func(pattern string) {
		value[any](t, options, `(() => { document.getElementById("pattern").value = `+quote(pattern)+`; document.getElementById("bypass").requestSubmit(); })()`)
	}
	add("no pattern")
	if !value[bool](t, options, `document.getElementById("pattern_error").checkVisibility()`) {
		t.Error("a wrong pattern is not refused")
	}
	add("https://" + siteName + "/path")
	until(t, "the site is opened directly", func() bool { return s.way(s.https(siteName)) == direct })
	if got := s.way(s.https(farName)); got != nodeAddresses[s.nodeInUse()] {
		t.Errorf("another site came by %q", got)
	}
	value[any](t, options, `document.querySelector("#patterns button").click()`)
	until(t, "the site goes through the node again", func() bool { return s.way(s.https(siteName)) == nodeAddresses[s.nodeInUse()] })
}

// Another extension takes the proxy: the popup says so, and when that one is gone, this one takes over by itself.
func TestAnotherExtension(t *testing.T) {
	w := newWorld(t)
	other := filepath.Join(t.TempDir(), "other")
	manifest, _ := json.Marshal(map[string]any{
		"manifest_version": 3, "name": "Other", "version": "1", "permissions": []string{"proxy"}, "background": map[string]string{"service_worker": "w.js"},
	})
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"manifest.json": string(manifest), "w.js": `chrome.runtime.onMessageExternal.addListener((m, s, answer) => {
		(m ? chrome.proxy.settings.set({ value: { mode: "system" } }) : chrome.proxy.settings.clear({})).then(() => answer(true));
		return true;
	});`} {
		if err := os.WriteFile(filepath.Join(other, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The one that was installed last has the say.
	b := startChromium(t, unpack(t, extension.Chromium, w.config())+","+other, testca.Pin(w.tls))
	s := beginStory(w, b)
	s.connect()
	tell := func(take bool) {
		id := otherID(t, b)
		value[any](t, s.popup, `chrome.runtime.sendMessage(`+quote(id)+`, `+map[bool]string{true: "true", false: "false"}[take]+`)`)
	}
	tell(true)
	s.shows("problem_title", "Another extension controls the connection")
	s.shows("problem_action", "Find out which")
	s.shows("status", "Not protected")
	tell(false)
	s.shows("status", "Protected")
	s.leaks = s.site.count(direct)
	s.comesBy(nodeAddresses[s.nodeInUse()])
}

// otherID is the id of the extension whose worker is w.js.
func otherID(t testing.TB, b *chromium) string {
	t.Helper()
	for _, info := range b.targets() {
		if info.Type == "service_worker" && strings.HasSuffix(info.URL, "/w.js") {
			return strings.Split(info.URL, "/")[2]
		}
	}
	t.Fatal("the other extension does not run")
	return ""
}
