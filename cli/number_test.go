package cli

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// Whatever number a flag is given that it does not take, the answer names the flag and what it takes.
func TestEveryNumberSaysWhatItTakes(t *testing.T) {
	parser, err := newParser(t.Context(), &Terminal{}, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	_ = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		if command, ok := node.(*kong.Node); ok {
			for _, flag := range command.Flags {
				of := flag.Target.Type()
				for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice && of.Elem().Kind() == reflect.Int64 {
					of = of.Elem()
				}
				if kind := of.Kind(); kind != reflect.Int && kind != reflect.Int64 && kind != reflect.Float64 || of == reflect.TypeFor[size]() {
					continue
				}
				seen++
				bounds := flag.Tag.Get("range")
				if bounds == "" && (of.Kind() == reflect.Float64 || of == reflect.TypeFor[time.Duration]()) {
					t.Errorf("%s --%s does not say what it takes", command.FullPath(), flag.Name)
				}
				want := "--" + flag.Name + ": want "
				if bounds != "" {
					want += strings.Replace(bounds, "..", " to ", 1)
				}
				for _, wrong := range []string{"x", "-999999999999", "99999999999999999999", "-99999999999h", ""} {
					args := append(strings.Fields(command.FullPath())[1:], "--"+flag.Name, wrong)
					var out bytes.Buffer
					if code := Run(t.Context(), args, &Terminal{In: strings.NewReader(""), Out: &out, Err: &out}); code != 2 || !strings.Contains(out.String(), want) {
						t.Errorf("stile %q: exit code %d, want 2 with %q:\n%s", args, code, want, &out)
					}
				}
			}
		}
		return next(nil)
	})
	if seen < 30 {
		t.Errorf("saw %d numbers only", seen)
	}
}

func TestNegativeNumbers(t *testing.T) {
	for args, want := range map[string]string{
		"server set 1 --lat -33.9 --lon -.5": "server set 1 --lat=-33.9 --lon=-.5",
		"server set 1 --lat=3 -9":            "server set 1 --lat=3 -9",
		"user add --name -x --json":          "user add --name -x --json",
		"plan add --speed - -1":              "plan add --speed - -1",
		"audit -- --limit -1":                "audit -- --limit -1",
		"-1":                                 "-1",
	} {
		if got := joinNegatives(strings.Fields(args)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q", args, got)
		}
	}
	data := t.TempDir()
	for _, args := range []string{"server add Lima --country PE --host pe.example.net --lat -12.05 --lon -77.04", "server list --json"} {
		var out bytes.Buffer
		if code := Run(t.Context(), append(strings.Fields(args), "--data", data), &Terminal{Out: &out, Err: &out}); code != 0 {
			t.Errorf("stile %s: exit code %d\n%s", args, code, &out)
		}
	}
}
