// Package internal holds tests of the project itself: that its packages import one another only as doc/architecture.md
// says, that each says what it is for, and that it depends on nothing but what doc/decisions lists. There is no code here.
package internal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// module is the import path of the tree's root, which is root, seen from here.
const (
	module = "stile"
	root   = ".."
)

// room is one row of the import table in doc/architecture.md.
type room struct {
	rooms    []string // of ours, "x/*" for the packages below x; "*" for all
	external bool     // whether libraries of others may be imported
}

// goPackage is a directory with Go files, all of one package and perhaps its tests.
type goPackage struct {
	dir   string // slash-separated, from the root
	files map[string]*ast.File
}

func TestImports(t *testing.T) {
	table := importTable(t)
	for _, pkg := range packages(t) {
		name := roomOf(pkg.dir, table)
		if name == "" {
			t.Errorf("%s is in no room of doc/architecture.md", pkg.dir)
			continue
		}
		for file, imports := range pkg.imports() {
			for _, imported := range imports {
				if why := refused(table, name, pkg.dir, file, imported); why != "" {
					t.Errorf("%s imports %q: %s", file, imported, why)
				}
			}
		}
	}
}

// refused returns why a file must not have an import, or "". Tests may use any room but cli, and any listed library.
func refused(table map[string]room, name, dir, file, imported string) string {
	isTest := strings.HasSuffix(file, "_test.go")
	target, ours := strings.CutPrefix(imported, module+"/")
	switch {
	case ours && target == dir:
		return "" // an external test of the package itself
	case ours && roomOf(target, table) == "cli" && name != "cmd":
		return "nobody imports cli but cmd"
	case isTest:
		return ""
	case ours:
		to := roomOf(target, table)
		if slices.Contains(table[name].rooms, "*") || slices.Contains(table[name].rooms, to) {
			return ""
		}
		return "doc/architecture.md has no arrow from " + name + " to " + to
	case !isStandard(imported) && !table[name].external:
		return name + " uses the standard library only"
	}
	return ""
}

func TestImportTableIsWhole(t *testing.T) {
	table := importTable(t)
	for name, r := range table {
		for _, to := range r.rooms {
			if _, known := table[to]; !known && to != "*" {
				t.Errorf("the row of %s names %s, which has no row", name, to)
			}
		}
	}
	// The arrows that everything else stands on: an edit of the page can't loosen them unseen.
	for _, name := range []string{"vpn", "accesskey", "wire", "dataplane"} {
		if r, known := table[name]; !known || r.external {
			t.Errorf("%s must be a room of the standard library alone", name)
		}
	}
	for _, c := range []struct {
		name, dir, imported string
		refused             bool
	}{
		{"vpn", "vpn", "stile/store", true},
		{"vpn", "vpn", "stile/accesskey", false},
		{"vpn", "vpn", "golang.org/x/crypto/argon2", true},
		{"api", "api", "stile/store", true},
		{"api", "api", "stile/vpn", false},
		{"node", "node", "stile/vpn", true},
		{"node", "node", "stile/store", true},
		{"store", "store", "stile/api", true},
		{"dataplane", "dataplane", "stile/dataplane/shadowsocks", true},
		{"dataplane/*", "dataplane/shadowsocks", "stile/dataplane", false},
		{"client", "client", "stile/cli", true},
		{"cmd", "cmd/stile", "stile/cli", false},
		{"cmd", "cmd/stile", "stile/store", true},
	} {
		if got := refused(table, c.name, c.dir, c.dir+"/x.go", c.imported); (got != "") != c.refused {
			t.Errorf("%s importing %s: refused %q, want refused %t", c.dir, c.imported, got, c.refused)
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	for _, pkg := range packages(t) {
		var docs []string
		for name, file := range pkg.files {
			if file.Doc == nil || strings.HasSuffix(name, "_test.go") && pkg.dir != "internal" {
				continue
			}
			docs = append(docs, name)
			text := file.Doc.Text()
			want := "Package " + file.Name.Name + " "
			if file.Name.Name == "main" {
				want = "Command " + path.Base(pkg.dir) + " "
			}
			if !strings.HasPrefix(text, want) || len(text) < 100 {
				t.Errorf("%s: the package comment must begin with %q and be a paragraph: what it is for and what it is not", name, want)
			}
		}
		if len(docs) != 1 && !pkg.onlyTests() {
			t.Errorf("%s: want one file with a package comment, got %q", pkg.dir, docs)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, pkg := range packages(t) {
		for name, file := range pkg.files {
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has an init function", name)
				}
			}
		}
	}
}

// TestGuarantees holds the table of guarantees in doc/architecture.md: each names tests that exist, or says that it isn't
// there yet.
func TestGuarantees(t *testing.T) {
	tests := map[string]bool{}
	for _, pkg := range packages(t) {
		for name, file := range pkg.files {
			for _, decl := range file.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasSuffix(name, "_test.go") || forTests(name)) {
					tests[pkg.dir+"."+f.Name.Name] = true
				}
			}
		}
	}
	for _, row := range tableRows(t, "doc/architecture.md", "## Guarantees") {
		if len(row) != 2 || len(quoted(row[1])) == 0 && row[1] != "not there yet" {
			t.Errorf("doc/architecture.md: no test is named for %q", row[0])
			continue
		}
		for _, name := range quoted(row[1]) {
			if !tests[name] {
				t.Errorf("doc/architecture.md: %q is said to be held by %s, which is not there", row[0], name)
			}
		}
	}
}

// TestNoTestIsSkipped holds the README's word: a test that lacks a tool fails and names the package to install.
func TestNoTestIsSkipped(t *testing.T) {
	for _, pkg := range packages(t) {
		for name, file := range pkg.files {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, sel.Sel.Name) {
					if x, ok := sel.X.(*ast.Ident); ok && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name) {
						t.Errorf("%s skips a test", name)
					}
				}
				return true
			})
		}
	}
}

// TestNoMachinePaths keeps the paths of somebody's own machine out of the tree, and unfinished notes out of the code.
func TestNoMachinePaths(t *testing.T) {
	paths := regexp.MustCompile(`(^|[\s"'` + "`" + `(=:])/(home|Users|root|work)/`)
	notes := regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	text := []string{".go", ".md", ".sql", ".yaml", ".yml", ".json", ".jsonl", ".txtar", ".html", ".sh", ""}
	walk(t, func(file string) {
		if !slices.Contains(text, path.Ext(file)) {
			return
		}
		data, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(data), "\n") {
			if paths.MatchString(line) || path.Ext(file) == ".go" && notes.MatchString(line) {
				t.Errorf("%s:%d: %s", file, i+1, strings.TrimSpace(line))
			}
		}
	})
}

// importTable reads the table under "Who may import whom" in doc/architecture.md: the room, the rooms it may import, and
// whether it may use libraries of others.
func importTable(t *testing.T) map[string]room {
	t.Helper()
	table := map[string]room{}
	for _, row := range tableRows(t, "doc/architecture.md", "## Who may import whom") {
		if len(row) < 3 || len(quoted(row[0])) != 1 {
			t.Fatalf("doc/architecture.md: can't read the row %q", row)
		}
		r := room{rooms: quoted(row[1]), external: row[2] == "yes"}
		if row[1] == "everything" {
			r.rooms = []string{"*"}
		}
		table[quoted(row[0])[0]] = r
	}
	if len(table) < 8 {
		t.Fatalf("doc/architecture.md: found only %d rooms", len(table))
	}
	return table
}

// roomOf returns the row of the table that a package's directory belongs to, or "".
func roomOf(dir string, table map[string]room) string {
	if _, known := table[dir]; known {
		return dir
	}
	top, _, below := strings.Cut(dir, "/")
	if _, known := table[top+"/*"]; known && below {
		return top + "/*"
	}
	if _, known := table[top]; known {
		return top
	}
	return ""
}

// isStandard reports whether an import is of the standard library: those have no dot in their first element.
func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// tableRows returns the cells of the first table below a heading of a Markdown file, without its two head lines.
func tableRows(t *testing.T, file, heading string) [][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(data), heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", file, heading)
	}
	var rows [][]string
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		var cells []string
		for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("%s has no table below %q", file, heading)
	}
	return rows[2:]
}

// quoted returns what stands between backticks.
func quoted(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}

// packages parses every Go file of the module.
func packages(t *testing.T) []goPackage {
	t.Helper()
	byDir := map[string]goPackage{}
	walk(t, func(file string) {
		if path.Ext(file) != ".go" {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		dir := path.Dir(file)
		if _, seen := byDir[dir]; !seen {
			byDir[dir] = goPackage{dir: dir, files: map[string]*ast.File{}}
		}
		byDir[dir].files[file] = parsed
	})
	if len(byDir) < 2 {
		t.Fatalf("found only %d packages", len(byDir))
	}
	var list []goPackage
	for _, pkg := range byDir {
		list = append(list, pkg)
	}
	slices.SortFunc(list, func(a, b goPackage) int { return strings.Compare(a.dir, b.dir) })
	return list
}

// imports returns the import paths of each file.
func (p goPackage) imports() map[string][]string {
	imports := map[string][]string{}
	for name, file := range p.files {
		for _, spec := range file.Imports {
			imports[name] = append(imports[name], strings.Trim(spec.Path.Value, `"`))
		}
	}
	return imports
}

func (p goPackage) onlyTests() bool {
	for name := range p.files {
		if !strings.HasSuffix(name, "_test.go") {
			return false
		}
	}
	return true
}

// walk calls visit for each file of the module by its slash-separated path from the root. It leaves out nested modules,
// testdata, hidden directories and what .gitignore names.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		file = filepath.ToSlash(file)
		if !entry.IsDir() {
			visit(file)
			return nil
		}
		hidden := file != "." && strings.HasPrefix(path.Base(file), ".")
		_, err = os.Stat(filepath.Join(name, "go.mod"))
		nested := file != "." && err == nil
		if hidden || nested || slices.Contains([]string{"bin", "tmp"}, file) || path.Base(file) == "testdata" {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
