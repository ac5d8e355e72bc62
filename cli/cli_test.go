package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

func TestEveryFlagHasAnEnvironmentTwin(t *testing.T) {
	parser, err := newParser(t.Context(), &Terminal{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	if err := kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name != "help" && flag.Name != "version" {
			flags++
			if len(flag.Envs) == 0 || !strings.HasPrefix(flag.Envs[0], "STILE_") {
				t.Errorf("--%s has no environment variable", flag.Name)
			}
			if flag.Help == "" {
				t.Errorf("--%s has no help", flag.Name)
			}
		}
		return next(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if flags < 30 {
		t.Errorf("saw %d flags only", flags)
	}
}

func TestHelpAndMisuse(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", 0, "stile demo"},
		{"serve --help", 0, "--trusted-proxy"},
		{"--version", 0, ""},
		{"serve --no-such-flag", 2, "unknown flag --no-such-flag"},
		{"user add", 2, `expected "<email>"`},
		{"serve --sign-in-failures 0 --no-node --listen 127.0.0.1:0 --data " + t.TempDir(), 1, "--sign-in-failures: want at least 1"},
		{"plan add x --devices 0 --data " + t.TempDir(), 1, "devices: want 1 to 10000"},
		{"user add nobody --data " + t.TempDir(), 1, "email: want one e-mail address"},
		{"user block ghost@example.com --data " + t.TempDir(), 1, "no such user"},
		{"server add x --data " + t.TempDir(), 1, "country: want an ISO 3166-1 code"},
	} {
		var out bytes.Buffer
		code := Run(t.Context(), strings.Fields(c.args), &Terminal{In: strings.NewReader(""), Out: &out, Err: &out})
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("stile %s: exit code %d, want %d with %q:\n%s", c.args, code, c.code, c.want, &out)
		}
	}
}
