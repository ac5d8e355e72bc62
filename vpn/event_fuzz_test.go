package vpn

import (
	"slices"
	"strings"
	"testing"
)

// What passes as a pattern is "*" or a noun that events have, a dot, and a verb or "*": nothing that matches by surprise.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{"*", "user.*", "device.sign_in", "user.", ".*", "user.*.*", "key.issue", "user.add ", "subscription.traffic_80"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if !isPattern(p) || p == "*" {
			return
		}
		noun, verb, _ := strings.Cut(p, ".")
		if len(p) > maxPattern || !slices.Contains(eventNouns, noun) || (verb != "*" && strings.ContainsAny(verb, "*. %\x00")) {
			t.Errorf("%q is a pattern", p)
		}
	})
}
