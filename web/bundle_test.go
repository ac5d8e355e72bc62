package web

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"stile/internal/locale"
)

var update = flag.Bool("update", false, "write what the tests make in place of what is committed")

// TestBundle bundles ui/ again and compares it with dist/, which is embedded. With -update it writes dist/.
func TestBundle(t *testing.T) {
	for name, content := range bundle(t) {
		file := filepath.Join("dist", name)
		if *update {
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, content) {
			t.Errorf("%s is not what ui/ makes (%v): run go test ./web -run TestBundle -update", file, err)
		}
	}
	kept, err := filepath.Glob("dist/*")
	if want := 5; err != nil || len(kept) != want {
		t.Errorf("dist/ has %d files, want %d", len(kept), want)
	}
}

// bundle makes the files of dist/: the script in each language, with the messages that begin with "js.", the sheet, and
// the land of the map.
func bundle(t *testing.T) map[string][]byte {
	t.Helper()
	icon, err := os.ReadFile("ui/icon.svg")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"icon.svg": icon, "land.svg": land(t)}
	build := func(name, entry string, plugins ...api.Plugin) {
		made := api.Build(api.BuildOptions{
			EntryPoints: []string{entry}, Bundle: true, Format: api.FormatESModule, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsNone,
			MinifySyntax: true, MinifyWhitespace: true, MinifyIdentifiers: true, Target: api.ES2022, Plugins: plugins,
			Supported: map[string]bool{"nesting": true}, LogLevel: api.LogLevelSilent,
		})
		if len(made.Errors) > 0 {
			t.Fatalf("%s: %v", entry, made.Errors)
		}
		files[name] = made.OutputFiles[0].Contents
	}
	for _, l := range locale.All() {
		build("app."+string(l)+".js", "ui/app.ts", messagesPlugin(t, l))
	}
	build("style.css", "ui/style.css")
	return files
}

// messagesPlugin puts a language's messages in place of the module "messages".
func messagesPlugin(t *testing.T, l locale.Lang) api.Plugin {
	return api.Plugin{Name: "messages", Setup: func(b api.PluginBuild) {
		b.OnResolve(api.OnResolveOptions{Filter: "^messages$"}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: string(l), Namespace: "messages"}, nil
		})
		b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "messages"}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			raw, err := os.ReadFile("messages/" + string(l) + ".json")
			if err != nil {
				return api.OnLoadResult{}, err
			}
			all, scripts := map[string]string{}, map[string]string{}
			if err := json.Unmarshal(raw, &all); err != nil {
				return api.OnLoadResult{}, err
			}
			for key, message := range all {
				if strings.HasPrefix(key, "js.") {
					scripts[key] = message
				}
			}
			content, err := json.Marshal(scripts)
			text := "export default " + string(content)
			return api.OnLoadResult{Contents: &text, Loader: api.LoaderJS}, err
		})
	}}
}
