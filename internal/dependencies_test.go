package internal

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dependency is one row of doc/decisions/0001-dependencies.md.
type dependency struct {
	licence   string
	testsOnly bool
}

func TestDependencies(t *testing.T) {
	list := dependencies(t)
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for name := range list {
		unused[name] = true
		if !strings.Contains(string(goMod), "\t"+name+" v") {
			t.Errorf("%s is listed but not in go.mod", name)
		}
	}
	for _, pkg := range packages(t) {
		for file, imports := range pkg.imports() {
			for _, imported := range imports {
				if isStandard(imported) { // ours too: the module's name has no dot
					continue
				}
				name := moduleOf(imported, list)
				delete(unused, name)
				switch {
				case name == "":
					t.Errorf("%s imports %s, which doc/decisions/0001-dependencies.md does not list", file, imported)
				case list[name].testsOnly && !forTests(file):
					t.Errorf("%s imports %s, which is listed for tests only", file, imported)
				}
			}
		}
	}
	for name := range unused {
		t.Errorf("%s is listed but nothing imports it", name)
	}
}

// TestLicences reads the licence of every module that is linked into the program, also of those that others bring.
func TestLicences(t *testing.T) {
	marks := []struct{ licence, text string }{ // in lower case, with one space between words
		{"Apache-2.0", "apache license version 2.0"},
		{"MPL-2.0", "mozilla public license version 2.0"},
		{"MIT", "permission is hereby granted, free of charge"},
		{"BSD", "redistribution and use in source and binary forms"},
		{"ISC", "permission to use, copy, modify, and/or distribute this software"},
	}
	listed := dependencies(t)
	// Only files of packages that are built count, not the tests'.
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Dir}}{{end}}", "./...")
	command.Dir = root
	var stderr strings.Builder
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("go list -deps: %v\n%s", err, &stderr)
	}
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		name, dir, _ := strings.Cut(line, " ")
		if name == module || name == "" {
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "LICEN[SC]E*"))
		if err == nil && len(files) == 0 {
			files, err = filepath.Glob(filepath.Join(dir, "COPYING*"))
		}
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no licence file", name)
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Error(err)
			continue
		}
		words := strings.ToLower(strings.Join(strings.Fields(string(text)), " "))
		words = strings.ReplaceAll(words, "license, version", "license version")
		var found string
		for _, mark := range marks {
			if found == "" && strings.Contains(words, mark.text) {
				found = mark.licence
			}
		}
		if found == "" {
			t.Errorf("%s: %s is none of the licences that may be linked", name, files[0])
		}
		if d, isListed := listed[name]; isListed && !strings.HasPrefix(d.licence, found) {
			t.Errorf("%s is listed as %s, its text is %s", name, d.licence, found)
		}
	}
}

// dependencies reads the table of doc/decisions/0001-dependencies.md: module, licence, where it is used, why.
func dependencies(t *testing.T) map[string]dependency {
	t.Helper()
	list := map[string]dependency{}
	for _, row := range tableRows(t, "doc/decisions/0001-dependencies.md", "## The list") {
		if len(row) != 4 || len(quoted(row[0])) != 1 || row[3] == "" || row[2] != "program" && row[2] != "tests" {
			t.Fatalf("doc/decisions/0001-dependencies.md: can't read the row %q", row)
		}
		list[quoted(row[0])[0]] = dependency{licence: row[1], testsOnly: row[2] == "tests"}
	}
	return list
}

// moduleOf returns the listed module that an import path belongs to, or "".
func moduleOf(imported string, list map[string]dependency) string {
	var longest string
	for name := range list {
		if (imported == name || strings.HasPrefix(imported, name+"/")) && len(name) > len(longest) {
			longest = name
		}
	}
	return longest
}

// forTests reports whether a file is never linked into the program: tests, and the suites that tests share.
func forTests(file string) bool {
	return strings.HasSuffix(file, "_test.go") || strings.Contains(file, "/storetest/") || strings.Contains(file, "/planetest/")
}
