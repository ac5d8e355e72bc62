package extension_test

import (
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"stile/internal/testbrowser"
)

// The parts that need no extension's rights, in a browser's engine: what knows no browser at all, and the worker in a browser of
// which the test decides when it answers.
func TestUnits(t *testing.T) {
	const config = `export default { api: "https://api.test", name: "Stile", language: "en" };`
	worker, tests := script(t, "src/background.ts", config), script(t, "test/all.ts", config)
	p := testbrowser.StartChromium(t, testbrowser.ChromiumConfig{}).Open("about:blank")
	found := testbrowser.Value[struct {
		Passed   int
		Failures []string
	}](t, p, "(() => { globalThis.workerSource = "+testbrowser.Quote(worker)+";\n"+tests+"\n; return globalThis.results })()")
	for _, failure := range found.Failures {
		t.Error(failure)
	}
	if found.Passed < 18 {
		t.Errorf("only %d tests passed", found.Passed)
	}
}

// script bundles one file into a script that a page can run: tests, or a part of the extension with a configuration.
func script(t *testing.T, file, config string) string {
	t.Helper()
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{file}, Bundle: true, Outdir: "out", Format: api.FormatIIFE, Target: api.ES2022, Charset: api.CharsetUTF8,
		Plugins: []api.Plugin{{Name: "config", Setup: func(b api.PluginBuild) {
			b.OnResolve(api.OnResolveOptions{Filter: `/config\.js$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
				return api.OnResolveResult{Path: "config", Namespace: "config"}, nil
			})
			b.OnLoad(api.OnLoadOptions{Filter: ".*", Namespace: "config"}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
				return api.OnLoadResult{Contents: &config, Loader: api.LoaderJS}, nil
			})
		}}},
	})
	if len(result.Errors) > 0 {
		t.Fatal(strings.Join(api.FormatMessages(result.Errors, api.FormatMessagesOptions{}), ""))
	}
	return string(result.OutputFiles[0].Contents)
}
