package cli_test

import (
	"archive/zip"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stile/extension"
)

// What is set at the shell, the running service follows within a second: here the name in the browser extension.
func TestSettingsReachTheService(t *testing.T) {
	m := newMachine(t, "", "--support-url", "https://flag.example.net")
	t.Setenv("STILE_BRAND", "of the environment") // a flag of serve, which is no wish to set it
	m.stile("settings", "set", "--sign-up", "voucher")
	shown := m.stile("settings", "show")
	for _, want := range []string{"voucher", "not set: Stile"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not in\n%s", want, shown)
		}
	}
	if name := extensionName(t, m); !strings.Contains(name, `"name":"Stile"`) {
		t.Errorf("at first %s", name)
	}
	m.stile("settings", "set", "--brand", "Тихая гавань")
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		name := extensionName(t, m)
		if strings.Contains(name, `"name":"Тихая гавань"`) {
			break
		}
		if time.Since(begun) > 30*time.Second {
			t.Fatalf("still %s", name)
		}
	}
	if shown := m.stile("settings", "show", "--json"); !strings.Contains(shown, `"sign_up": "voucher"`) {
		t.Errorf("another setting was lost: %s", shown)
	}
}

// extensionName is the part of the extension that says what the service is called.
func extensionName(t *testing.T, m *machine) string {
	t.Helper()
	resp, err := http.Get(m.url + extension.Path + "extension-chromium.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	file, err := archive.Open("config.js")
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(file)
	return string(content)
}
