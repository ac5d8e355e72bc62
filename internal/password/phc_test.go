package password

import (
	"strings"
	"testing"
)

const (
	goodSalt = "c29tZXNhbHRzb21lc2FsdA"
	goodSum  = "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
)

// badHashes are strings that must be refused before any work is done for them, by what is wrong with them.
func badHashes() map[string]string {
	with := func(costs, salt, sum string) string { return "$argon2id$v=19$" + costs + "$" + salt + "$" + sum }
	return map[string]string{
		"plain text":              "password123",
		"md5crypt":                "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
		"argon2i":                 "$argon2i$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + goodSum,
		"old version":             "$argon2id$v=16$m=19456,t=2,p=1$" + goodSalt + "$" + goodSum,
		"no version":              "$argon2id$m=19456,t=2,p=1$" + goodSalt + "$" + goodSum,
		"no sum":                  "$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt,
		"one field more":          with("m=19456,t=2,p=1", goodSalt, goodSum) + "$",
		"memory past the bound":   with("m=131073,t=2,p=1", goodSalt, goodSum),
		"4 TiB of memory":         with("m=4294967295,t=2,p=1", goodSalt, goodSum),
		"memory past 32 bits":     with("m=4294986752,t=2,p=1", goodSalt, goodSum),
		"less memory than lanes":  with("m=15,t=2,p=2", goodSalt, goodSum),
		"passes past the bound":   with("m=19456,t=11,p=1", goodSalt, goodSum),
		"no pass":                 with("m=19456,t=0,p=1", goodSalt, goodSum),
		"lanes past the bound":    with("m=19456,t=2,p=9", goodSalt, goodSum),
		"lanes past a byte":       with("m=19456,t=2,p=257", goodSalt, goodSum),
		"another order":           with("t=2,m=19456,p=1", goodSalt, goodSum),
		"a keyid":                 with("m=19456,t=2,p=1,keyid=AA", goodSalt, goodSum),
		"leading zero":            with("m=019456,t=2,p=1", goodSalt, goodSum),
		"signed":                  with("m=+19456,t=2,p=1", goodSalt, goodSum),
		"short salt":              with("m=19456,t=2,p=1", "c29tZXNhbA", goodSum),
		"long salt":               with("m=19456,t=2,p=1", strings.Repeat("A", 87), goodSum),
		"short sum":               with("m=19456,t=2,p=1", goodSalt, strings.Repeat("A", 20)),
		"long sum":                with("m=19456,t=2,p=1", goodSalt, strings.Repeat("A", 87)),
		"padded salt":             with("m=19456,t=2,p=1", goodSalt+"==", goodSum),
		"stray bits":              with("m=19456,t=2,p=1", goodSalt, strings.TrimSuffix(goodSum, "c")+"d"),
		"line break":              with("m=19456,t=2,p=1", goodSalt, goodSum+"\n"),
		"bcrypt of cost 15":       "$2y$15$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi",
		"bcrypt of cost 31":       "$2y$31$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi",
		"bcrypt of cost 3":        "$2y$03$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi",
		"bcrypt of a faulty kind": "$2x$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi",
		"bcrypt cut short":        "$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/ig",
		"bcrypt with a colon":     "$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC:.og/at2.uheWG/igi",
		"bcrypt prefix alone":     "$2y$",
	}
}

func TestParseTakesTheBounds(t *testing.T) {
	for _, s := range []string{
		"$argon2id$v=19$m=131072,t=10,p=8$" + strings.Repeat("A", 86) + "$" + strings.Repeat("A", 86),
		"$argon2id$v=19$m=8,t=1,p=1$" + strings.Repeat("A", 11) + "$" + strings.Repeat("A", 22),
	} {
		p, err := parsePHC(s)
		if err != nil {
			t.Errorf("parsePHC(%q): %v", s, err)
		}
		if got := p.String(); got != s {
			t.Errorf("parsePHC(%q) prints as %q", s, got)
		}
	}
	if err := checkBcrypt("$2y$14$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi"); err != nil {
		t.Errorf("bcrypt of cost 14: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range badHashes() {
		f.Add(s)
	}
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$" + goodSalt + "$" + goodSum)
	f.Add("$2y$10$92IXUNpkjO0rOQ5byMi.Ye4oKoEa3Ro9llC/.og/at2.uheWG/igi")
	f.Fuzz(func(t *testing.T, s string) {
		if isBcrypt(s) && checkBcrypt(s) == nil {
			// What passes must have few rounds and nothing that the library stumbles over: "10" or "14", never "1x".
			if len(s) != 60 || s[4:6] < "04" || s[4:6] > "14" {
				t.Fatalf("accepted %q", s)
			}
		}
		p, err := parsePHC(s)
		if err != nil {
			return
		}
		if got := p.String(); got != s {
			t.Fatalf("parsePHC(%q) prints as %q", s, got)
		}
		if p.cost.memoryKiB > maxMemoryKiB || p.cost.passes > maxPasses || p.cost.lanes > maxLanes ||
			p.cost.memoryKiB < 8*uint32(p.cost.lanes) || p.cost.passes == 0 || p.cost.lanes == 0 || len(p.sum) == 0 {
			t.Fatalf("accepted %q beyond the bounds: %+v", s, p.cost)
		}
	})
}
