package extension_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"stile/extension"
	"stile/extension/bundle"
)

// What is committed in dist is what the source makes.
func TestBuiltFilesAreCurrent(t *testing.T) {
	committed, err := extension.Built()
	if err != nil {
		t.Fatal(err)
	}
	built, err := bundle.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	for name := range maps.Keys(built) {
		if !bytes.Equal(committed[name], built[name]) {
			t.Errorf("dist/%s is not what the source makes: go run ./extension/build", name)
		}
		delete(committed, name)
	}
	for name := range committed {
		t.Errorf("dist/%s is made by nothing", name)
	}
}

func messages(t *testing.T, language string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("messages/" + language + ".json")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	if err := json.Unmarshal(raw, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

// Both languages have the same messages with the same places, and every form that counting needs.
func TestMessagesMatch(t *testing.T) {
	ru, en := messages(t, "ru"), messages(t, "en")
	places := regexp.MustCompile(`:[a-z_]+`)
	for key, text := range ru {
		want, got := places.FindAllString(text, -1), places.FindAllString(en[key], -1)
		slices.Sort(want)
		slices.Sort(got)
		if en[key] == "" || text == "" || !slices.Equal(got, want) {
			t.Errorf("%s: %q in English, %q in Russian", key, en[key], text)
		}
	}
	if len(ru) != len(en) {
		t.Errorf("%d messages in English, %d in Russian", len(en), len(ru))
	}
	forms := map[plural.Form]string{plural.One: "one", plural.Few: "few", plural.Many: "many", plural.Other: "other"}
	for key := range ru {
		stem, isPlural := strings.CutSuffix(key, ".other")
		if !isPlural || stem == "problem" || strings.HasPrefix(key, "locked.") || strings.HasPrefix(key, "error.") {
			continue
		}
		for n := range 30 {
			form := forms[plural.Cardinal.MatchPlural(language.Russian, n, 0, 0, 0, 0)]
			if ru[stem+"."+form] == "" {
				t.Errorf("%s has no form %s", stem, form)
			}
		}
	}
}

// Every message that the code names is there, and every message is named.
func TestMessagesAreUsed(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"src"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			raw, err := os.ReadFile(dir + "/" + entry.Name())
			if err != nil {
				t.Fatal(err)
			}
			source.Write(raw)
		}
	}
	text := source.String()
	en := messages(t, "en")
	for key := range en {
		stem := key[:strings.LastIndexByte(key, '.')]
		isBuilt := false // `problem.${reason}.title`
		for _, made := range []string{"problem.", "status.", "hint.", "action.", "error.", "plan.days."} {
			isBuilt = isBuilt || strings.HasPrefix(key, made)
		}
		if !isBuilt && !strings.Contains(text, `"`+key+`"`) && !strings.Contains(text, `"`+stem+`"`) {
			t.Errorf("nothing says %s", key)
		}
	}
	for _, named := range regexp.MustCompile(`data-(?:text|label|hint)="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if en[named[1]] == "" {
			t.Errorf("a page says %s, which is no message", named[1])
		}
	}
}

// PERMISSIONS.md explains each permission that the manifests ask for, and no other.
func TestPermissionsAreExplained(t *testing.T) {
	text, err := os.ReadFile("PERMISSIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `([^`]+)` ").FindAllStringSubmatch(string(text), -1) {
		explained[found[1]] = true
	}
	asked := map[string]bool{}
	for _, target := range []extension.Target{extension.Chromium, extension.Firefox} {
		files, err := extension.Assemble(nil, target, operator())
		if err != nil {
			t.Fatal(err)
		}
		var manifest struct {
			Permissions         []string `json:"permissions"`
			HostPermissions     []string `json:"host_permissions"`
			OptionalPermissions []string `json:"optional_permissions"`
		}
		if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil {
			t.Fatal(err)
		}
		for _, p := range slices.Concat(manifest.Permissions, manifest.HostPermissions, manifest.OptionalPermissions) {
			asked[p] = true
		}
	}
	if !maps.Equal(asked, explained) {
		t.Errorf("asked for: %v; explained: %v", slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(explained)))
	}
}
