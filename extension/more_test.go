package extension_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stile/internal/testbrowser"
	"stile/vpn"
)

// newStory is a user with a fresh Chromium.
func newStory(t testing.TB) *story {
	t.Helper()
	w := newWorld(t)
	return beginStory(w, w.chromium(""))
}

func beginStory(w *world, b testbrowser.Browser) *story {
	s := &story{world: w, b: b, popup: b.Open("about:blank"), tab: b.Open("about:blank")}
	s.reopen()
	return s
}

// A full plan: the popup lists the devices, and the one that is chosen makes room.
func TestDeviceLimit(t *testing.T) {
	s := newStory(t)
	s.signInWith("", "Old phone")
	s.signInWith("", "Tablet")
	s.signIn(testPassword)
	s.shows("devices_text", "Your plan allows 2.")
	s.shows("device_list", "Old phone")
	if len(shots) > 0 {
		_ = os.WriteFile(filepath.Join(shots, "devices.png"), s.popup.Shot(), 0o644)
	}
	for _, fault := range testbrowser.Faults(t, s.popup) {
		t.Error(fault)
	}
	testbrowser.Value[any](t, s.popup, `[...document.querySelectorAll("#device_list label")].find(l => l.innerText.includes("Old phone")).click()`)
	testbrowser.Value[any](t, s.popup, `document.getElementById("replace").requestSubmit()`)
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
	home := t.TempDir()
	b := w.chromium(home)
	s := beginStory(w, b)
	s.connect()
	i := s.nodeInUse()
	b.Stop()
	s = beginStory(w, w.chromium(home))
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
	b := w.chromium("", other)
	s := beginStory(w, b)
	s.connect()
	tell := func(take bool) {
		testbrowser.Value[any](t, s.popup, `chrome.runtime.sendMessage(`+testbrowser.Quote(b.IDOf("/w.js"))+`, `+map[bool]string{true: "true", false: "false"}[take]+`)`)
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
