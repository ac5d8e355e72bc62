package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"stile/internal/buildinfo"
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

// saying is a command with its exit code and a part of what it says.
type saying struct {
	args string
	code int
	want string
}

// says runs commands one after the other, each with more words behind it.
func says(t *testing.T, commands []saying, more ...string) {
	t.Helper()
	for _, c := range commands {
		var out bytes.Buffer
		code := Run(t.Context(), append(strings.Fields(c.args), more...), &Terminal{In: strings.NewReader(""), Out: &out, Err: &out})
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("stile %s: exit code %d, want %d with %q:\n%s", c.args, code, c.code, c.want, &out)
		}
	}
}

func TestHelpAndMisuse(t *testing.T) {
	data := t.TempDir()
	says(t, []saying{
		{"", 0, "stile demo"},
		{"serve --help", 0, "--trusted-proxy"},
		{"--version", 0, buildinfo.Version()},
		{"help", 0, "stile demo"},
		{"help user add", 0, "Usage: stile user add <email>"},
		{"help nonsense", 2, "unexpected argument nonsense"},
		{"version", 0, buildinfo.Version()},
		{"serve --no-such-flag", 2, "unknown flag --no-such-flag"},
		{"user add", 2, "expected \"<email>\"\n`stile user add --help` explains it."},
		{"plan add other --data " + data, 0, "A new data directory is made: " + data},
		{"plan set standard --data " + data, 1, "nothing is changed"},
		{"server set 1 --data " + data, 1, "nothing is changed"},
		{"webhook set 1 --data " + data, 1, "nothing is changed"},
		{"settings set --data " + data, 1, "nothing is changed"},
		{"config publish --data " + data, 1, "nothing is published"},
		{"server remove 9 --data " + data, 1, "no server 9; `stile server list`"},
		{"webhook deliveries 9 --data " + data, 1, "no webhook 9; `stile webhook list`"},
		{"server join 9 --data " + data, 1, "no server 9; `stile server list`"},
		{"config rollback --data " + data, 1, "no roll-out is in a state for that"},
		{"job show 9 --data " + data, 1, "no job 9; `stile job list`"},
		{"voucher remove 9 --data " + data, 1, "no voucher 9; `stile voucher list`"},
		{"invitation remove 9 --data " + data, 1, "no invitation 9; `stile invitation list`"},
		{"job start extend --all --data " + data, 1, "--days: say how many"},
		{"job start plan --all --data " + data, 1, "--plan: say which"},
		{"audit verify --head zzz --data " + data, 1, "--head: want the 64 hex digits"},
		{"serve --sign-in-failures 0", 2, "--sign-in-failures: want 1 to 1000000, not"},
		{"plan add x --devices 0", 2, "--devices: want 1 to 10000, not \"0\"\n`stile plan add --help` explains it."},
		{"plan add x --speed -1", 2, "--speed: want 0 to 1000000, not \"-1\""},
		{"plan add x --speed 99999999999999999999", 2, "--speed: want 0 to 1000000, not"},
		{"plan add x --traffic -1", 2, "--traffic: \"-1\" is no size"},
		{"server set 1 --lon -180.5", 2, "--lon: want -180 to 180, not"},
		{"config publish --hold -1s", 2, "--hold: want 0s to 168h, not"},
		{"config publish --server x", 2, "--server: want a number, 0 or more, not"},
		{"user token a@example.com x --days -1", 2, "--days: want 0 to 36500, not"},
		{"config publish --ports 9000 --server 1,,2", 2, "--server: want a number, 0 or more, not \"\""},
		{"node show -1", 2, "stile: want a number, 0 or more, not \"-1\"\n`stile node show --help` explains it."},
		{"node show x", 2, "<id>: want a number, 0 or more, not"},
		{"audit --limit 1001", 2, "--limit: want 1 to 1000, not"},
		{"serve --trusted-proxy 10.0.0.1", 2, "--trusted-proxy: want a network such as 192.0.2.0/24"},
		{"serve --support-url javascript:alert(1) --data " + data, 1, "--support-url: want an address such as https://example.com"},
		{"serve --brand " + strings.Repeat("x", 46) + " --data " + data, 1, "--brand: want at most 45 characters"},
		{"serve --node-host https://vpn.example.net --listen 127.0.0.1:0 --shadowsocks-ports 0 --data " + data, 1, "--node-host: want the public name or address"},
		{"serve --listen= --data " + data, 1, "listen: no address (choose another address with --listen)"},
		{"server add x --country NL --host x.example.net:443 --data " + data, 1, "--host: want the public name or address"},
		{"server add x --country NL --host x.example.net --ping-url ping --data " + data, 1, "--ping-url: want an address such as https://"},
		{"invitation add --public-url vpn.example.net --data " + data, 1, "--public-url \"vpn.example.net\": want an address"},
		{"user reset a@example.com --public-url vpn.example.net --data " + data, 1, "--public-url \"vpn.example.net\": want an address"},
		{"job start block --all --expires-after 2026-12-01 --expires-before 2026-11-01 --data " + data, 1, "--expires-before: want an instant after"},
		{"mail test nobody --smtp-url smtp://127.0.0.1:1 --mail-from a@example.com", 1, "<address>: want one e-mail address"},
		{"invitation add --periods 2", 1, "--periods: say of which plan"},
		{"user add nobody --data " + data, 1, "email: want one e-mail address"},
		{"user block ghost@example.com --data " + data, 1, "no user ghost@example.com; `stile user list`"},
		{"server add x --data " + data, 1, "--country: want a code of two letters that ISO 3166-1 assigns"},
		{"server add x --country QQ --host x.example.net --data " + data, 1, "country: want a code of two letters that ISO 3166-1 assigns"},
	})
}

// What is given empty is looked at as any other value, and not passed over.
func TestEmptyValuesAreValues(t *testing.T) {
	data := t.TempDir()
	says(t, []saying{
		{"plan add gold --name Gold", 0, "Plan gold made"},
		{"plan add silver --name=", 1, "--name: want a name of 1 to 255 characters"},
		{"plan add a/b", 1, "code: want 1 to 64 of a-z, 0-9"},
		{"plan set gold --name=", 1, "--name: want a name of 1 to 255 characters"},
		{"plan set gold --name= --name-ru Золото", 0, "Plan gold changed"},
		{"server add Oslo --country NO --city Oslo --host o.example.net", 0, "Server 1 made"},
		{"server set 1 --name=", 1, "--name: want a name of 1 to 255 characters"},
		{"server set 1 --host=", 1, "--host: want the public name"},
		{"server set 1 --country=", 1, "--country: want a code of two letters"},
		{"server set 1 --state=", 2, "--state must be one of"},
		{"server set 1 --method=", 2, "--method must be one of"},
		{"server set 1 --city= --ping-url=", 0, "Server 1 changed"},
		{"server list --json", 0, `"city": "",`},
		{"server list --json", 0, `"ping_url": "https://o.example.net/ping"`},
		{"config publish --method=", 2, "--method must be one of"},
		{"webhook add https://x.example/hook --events *", 0, "Webhook 1 made"},
		{"webhook set 1 --url=", 1, "--url: want an address"},
		{"webhook set 1 --events=", 1, "--events: want up to 50"},
		{"user add ann@example.com", 0, "Account 1 made"},
		{"user show ann@example.com", 0, "Can connect: no. There is no subscription. What to do: stile user diagnose ann@example.com"},
	}, "--data", data)
}

// A plan that is mistyped leaves no account, whose password nobody was told.
func TestUserAddWithAMistypedPlanMakesNothing(t *testing.T) {
	data := t.TempDir()
	says(t, []saying{
		{"user add bob@example.com --plan gold --data " + data, 1, "--plan: no such plan"},
		{"user show bob@example.com --data " + data, 1, "no user bob@example.com"},
	})
}

// Ctrl-C ends a question that nobody answers.
func TestCtrlCEndsAQuestion(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	in, silent := io.Pipe()
	t.Cleanup(func() { _ = silent.Close() })
	interrupt()
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	var out bytes.Buffer
	if code := Run(ctx, []string{"login"}, &Terminal{In: in, Out: &out, Err: &out}); code != 1 || !strings.Contains(out.String(), "nobody is signed in") {
		t.Errorf("exit code %d:\n%s", code, &out)
	}
}
