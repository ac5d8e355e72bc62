package extension_test

import (
	"os"
	"path/filepath"
	"testing"

	"stile/extension"
	"stile/extension/bundle"
	"stile/internal/testbrowser"
	"stile/internal/testca"
)

// unpack writes the extension as it is built now into a directory.
func unpack(t testing.TB, target extension.Target, c extension.Config) string {
	t.Helper()
	built, err := bundle.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	files, err := extension.Assemble(built, target, c)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), string(target))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// chromium starts a Chromium with this world's extension, the same at each start, and others.
func (w *world) chromium(home string, others ...string) *testbrowser.Chromium {
	w.t.Helper()
	if w.unpacked == "" {
		w.unpacked = unpack(w.t, extension.Chromium, w.config())
	}
	return testbrowser.StartChromium(w.t, testbrowser.ChromiumConfig{
		Home: home, Extensions: append([]string{w.unpacked}, others...), Pins: []string{testca.Pin(w.tls)},
	})
}

// firefox starts a Firefox with this world's extension.
func (w *world) firefox() *testbrowser.Firefox {
	w.t.Helper()
	authority, _, _ := w.ca.Files(w.t, w.t.TempDir(), "unused.test")
	return testbrowser.StartFirefox(w.t, testbrowser.FirefoxConfig{
		Extension: unpack(w.t, extension.Firefox, w.config()), ExtensionID: "stile@127.0.0.1", Authority: authority,
		Names: append([]string{siteName}, nodeHosts...),
	})
}
