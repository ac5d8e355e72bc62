package testbrowser

import (
	"os"
	"path/filepath"
	"testing"
)

// Faults is what axe, the accessibility checker that others wrote, finds wrong with a page. tools/deps installs it.
func Faults(t testing.TB, p Page) []string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root(t), "tools/npm/node_modules/axe-core/axe.min.js"))
	if err != nil {
		t.Fatalf("no axe-core: run tools/deps (%v)", err)
	}
	found := Value[struct {
		Passed int
		Faults []string
	}](t, p, `(async () => {
		if (!window.axe) { `+string(source)+` }
		const r = await axe.run(document, { resultTypes: ["violations"] });
		return { passed: r.passes.length, faults: r.violations.map(v =>
			v.id + ": " + v.help + ": " + v.nodes.map(n => n.target.join(" ") + " " + n.html + " " + n.failureSummary).join("; ")) };
	})()`)
	if found.Passed < 10 {
		t.Errorf("axe looked at %d rules only", found.Passed)
	}
	return found.Faults
}

// root is the directory of the module.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
}
