package cli

import (
	"bytes"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"stile/accesskey"
	"stile/vpn"
)

// bounded are commands of the domain's numbers, each complete but for the flag that is tried.
var bounded = map[string]string{
	"plan add":         "another",
	"plan set":         "other",
	"server add":       "Oslo --country NO --host o.example.net --ping-url https://o.example.net/ping",
	"server set":       "1",
	"config publish":   "--ports 9000",
	"invitation add":   "--plan standard",
	"job start":        "plan --all --plan standard",
	"job start --days": "extend --all",
	"user subscribe":   "ann@example.com standard",
	"voucher add":      "standard",
}

// ownBounds are flags whose bounds are the command line's alone: the domain has none.
var ownBounds = map[string]bool{
	"limit": true, "sign-in-failures": true, "usage-every": true, "webhook test --wait": true,
	"user token --days": true, "voucher add --days": true, // the domain is told an instant
	"serve --https-port": true, "demo --https-port": true, "node run --https-port": true, "node join --https-port": true, // a port of this machine
}

// What a flag takes and what the domain takes are the same: one past each bound is refused by the domain too, by that flag's name,
// and the bounds themselves are not.
func TestBoundsOfFlagsAreTheDomains(t *testing.T) {
	data := t.TempDir()
	flags := databaseFlags{Data: data}
	for _, args := range []string{"plan add standard --days 30", "plan add other", "user add ann@example.com", "server add Bergen --country NO --host b.example.net"} {
		if err := unbounded(t, append(strings.Fields(args), "--data", data), ""); err != nil {
			t.Fatal(err)
		}
	}
	serving := vpn.NodeServing{NodeConfig: vpn.NodeConfig{NodePorts: vpn.NodePorts{Shadowsocks: 8388, Count: 16, Method: accesskey.MethodAES256GCM}}}
	if err := flags.use(t.Context(), func(s *vpn.Service) error { _, err := s.NoteServing(t.Context(), 1, serving); return err }); err != nil {
		t.Fatal(err)
	}
	parser, err := newParser(t.Context(), &Terminal{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		command, ok := node.(*kong.Node)
		if !ok {
			return next(nil)
		}
		path := strings.TrimPrefix(command.FullPath(), "stile ")
		for _, flag := range command.Flags {
			least, most, isBounded := strings.Cut(flag.Tag.Get("range"), "..")
			name := path + " --" + flag.Name
			if !isBounded || ownBounds[flag.Name] || ownBounds[name] {
				continue
			}
			words, isKnown := bounded[name]
			if !isKnown {
				words, isKnown = bounded[path]
			}
			if !isKnown {
				t.Errorf("stile %s: whose bounds are these?", name)
				continue
			}
			tried++
			for value, isWithin := range map[string]bool{least: true, most: true, next1(least, -1): false, next1(most, 1): false} {
				args := append(append(strings.Fields(path), strings.Fields(words)...), "--data", data, "--"+flag.Name+"="+value)
				err := unbounded(t, args, flag.Name)
				if flag.Name == "https-port" || path == "config publish" { // one roll-out at a time
					_ = unbounded(t, []string{"config", "abort", "--data", data}, "")
				}
				if is := !refuses(err, command, flag.Name); is != isWithin {
					t.Errorf("stile %s: %v, want it taken: %v", strings.Join(args, " "), err, isWithin)
				}
			}
		}
		return next(nil)
	})
	if tried < 20 {
		t.Errorf("tried %d flags only", tried)
	}
}

// refuses reports whether an error is the refusal of a flag's value.
func refuses(err error, command *kong.Node, flag string) bool {
	if err != nil && strings.HasPrefix(err.Error(), "--"+flag+": ") {
		return true // by the command itself
	}
	refusal, ok := errors.AsType[*vpn.Error](err)
	return ok && refusal.Code == vpn.CodeValidationFailed && flagOf(refusal.Field, command) == "--"+flag
}

// next1 is the number next to a bound, in a direction.
func next1(bound string, direction int) string {
	if n, err := strconv.Atoi(bound); err == nil {
		return strconv.Itoa(n + direction)
	}
	d, _ := time.ParseDuration(bound)
	return (d + time.Duration(direction)).String()
}

// unbounded runs a command whose flag takes any number, and returns what the domain says of it.
func unbounded(t *testing.T, args []string, flagName string) error {
	t.Helper()
	var out bytes.Buffer
	parser, err := newParser(t.Context(), &Terminal{Out: &out, Err: &out}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if command, ok := node.(*kong.Node); ok {
			for _, flag := range command.Flags {
				if flag.Name == flagName {
					flag.Mapper = kong.MapperFunc(anyNumber)
				}
			}
		}
		return next(nil)
	})
	parsed, err := parser.Parse(args)
	if err != nil {
		t.Fatalf("stile %s: %v", strings.Join(args, " "), err)
	}
	return parsed.Run()
}

// anyNumber reads a number without bounds.
func anyNumber(ctx *kong.DecodeContext, target reflect.Value) error {
	if target.Kind() == reflect.Pointer {
		target.Set(reflect.New(target.Type().Elem()))
		return anyNumber(ctx, target.Elem())
	}
	var text string
	if err := ctx.Scan.PopValueInto("number", &text); err != nil {
		return err
	}
	if target.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(text)
		target.SetInt(int64(d))
		return err
	}
	if target.Kind() == reflect.Float64 {
		f, err := strconv.ParseFloat(text, 64)
		target.SetFloat(f)
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	target.SetInt(n)
	return err
}
