package cli

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// numbers are how the command line reads numbers. The tag range:"LEAST..MOST" of a flag says which it takes; without one a whole
// number is 0 or more.
func numbers() []kong.Option {
	whole := number(func(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) })
	return []kong.Option{
		kong.KindMapper(reflect.Int, whole), kong.KindMapper(reflect.Int64, whole),
		kong.KindMapper(reflect.Float64, number(func(text string) (float64, error) { return strconv.ParseFloat(text, 64) })),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), number(time.ParseDuration)),
		kong.TypeMapper(reflect.TypeFor[[]int64](), kong.MapperFunc(numberList)),
		kong.TypeMapper(reflect.TypeFor[netip.Prefix](), kong.MapperFunc(network)),
	}
}

// numberList reads numbers with commas between them. Kong would take an empty text for a flag that is not given, and so for all.
func numberList(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("number", &text); err != nil {
		return err
	}
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("want a number, 0 or more, not %q", word)
		}
		target.Set(reflect.Append(target, reflect.ValueOf(n)))
	}
	return nil
}

// number reads a number within the bounds of its flag.
func number[T cmp.Ordered](parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("number", &text); err != nil {
			return err
		}
		n, err := parse(text)
		least, most, isBounded := strings.Cut(ctx.Value.Tag.Get("range"), "..")
		if !isBounded {
			if err != nil || n < *new(T) {
				return fmt.Errorf("want a number, 0 or more, not %q", text)
			}
		} else {
			low, err1 := parse(least)
			high, err2 := parse(most)
			if err != nil || err1 != nil || err2 != nil || !(low <= n && n <= high) { // NaN is neither
				return fmt.Errorf("want %s to %s, not %q", least, most, text)
			}
		}
		target.Set(reflect.ValueOf(n).Convert(target.Type()))
		return nil
	}
}

// network reads a range of addresses.
func network(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("network", &text); err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("want a network such as 192.0.2.0/24, or 192.0.2.1/32 for one address, not %q", text)
	}
	target.Set(reflect.ValueOf(prefix))
	return nil
}

// joinNegatives lets a flag take the number below zero that follows it, which kong would take for another flag: --lat -33.9 is
// --lat=-33.9.
func joinNegatives(args []string) []string {
	joined := make([]string, 0, len(args))
	for i, arg := range args {
		if arg == "--" {
			return append(joined, args[i:]...)
		}
		last := len(joined) - 1
		if last >= 0 && strings.HasPrefix(joined[last], "--") && !strings.Contains(joined[last], "=") && isNegative(arg) {
			joined[last] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

func isNegative(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && strings.ContainsRune(".0123456789", rune(arg[1]))
}
