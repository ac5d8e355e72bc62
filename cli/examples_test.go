package cli

import (
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command line that --help or a page of ours shows is one that the program takes.
func TestExamplesParse(t *testing.T) {
	pages := map[string]string{}
	for _, name := range []string{"README.md", "doc/webhooks.md", "doc/operations.md", "doc/payments.md"} {
		raw, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = string(raw)
	}
	parser, err := newParser(t.Context(), &Terminal{Out: io.Discard, Err: io.Discard}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	examples := make(map[string]string) // by the command, where it was found
	shown := regexp.MustCompile(`(?m)^\s*\$ (stile .*)$`)
	if err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if n, ok := node.(*kong.Node); ok {
			for _, found := range shown.FindAllStringSubmatch(n.Detail, -1) {
				examples[found[1]] = n.FullPath() + " --help"
			}
		}
		return next(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if len(examples) < 30 {
		t.Fatalf("only %d examples in --help", len(examples))
	}
	typed := regexp.MustCompile(`(?m)^(?:bin/)?(stile [a-z].*?)(?:\s+#.*)?$`)
	block := regexp.MustCompile("(?s)```(?:sh)?\n(.*?)```")
	for name, page := range pages {
		for _, text := range block.FindAllStringSubmatch(page, -1) {
			for _, found := range typed.FindAllStringSubmatch(text[1], -1) {
				examples[found[1]] = name
			}
		}
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("copy.db", nil, 0o600); err != nil { // which the example of restore puts back
		t.Fatal(err)
	}
	word := regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	for example, where := range examples {
		words := word.FindAllString(example, -1)
		for i := range words {
			words[i] = strings.Trim(words[i], `'"`)
		}
		if _, err := parser.Parse(words[1:]); err != nil {
			t.Errorf("%s shows %q: %v", where, example, err)
		}
	}
}
