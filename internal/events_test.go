package internal

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stile/vpn"
)

// Whoever writes a receiver finds every event in doc/webhooks.md that the program can send.
func TestEventsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "doc/webhooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	events := map[string]bool{ // those whose names the code puts together
		"user." + string(vpn.UserActive): true, "user." + string(vpn.UserBlocked): true, "server." + string(vpn.ServerActive): true,
		"server." + string(vpn.ServerMaintenance): true, "server." + string(vpn.ServerDrained): true,
	}
	literal := regexp.MustCompile(`"((?:` + strings.Join(vpn.EventNouns(), "|") + `)\.[a-z0-9_]+)"`)
	for _, room := range []string{"vpn", "store", "hub"} {
		files, err := filepath.Glob(filepath.Join(root, room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range literal.FindAllStringSubmatch(string(text), -1) {
				events[found[1]] = events[found[1]] || vpn.IsEvent(found[1])
			}
		}
	}
	if len(events) < 40 {
		t.Fatalf("only %d events found", len(events))
	}
	for event, isSent := range events {
		if isSent && !strings.Contains(string(page), "`"+event) {
			t.Errorf("doc/webhooks.md does not name %s", event)
		}
	}
}
