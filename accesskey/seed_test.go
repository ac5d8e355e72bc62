package accesskey

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func countingSeed() Seed {
	var s Seed
	for i := range s {
		s[i] = byte(i)
	}
	return s
}

// The vectors were computed with another implementation of RFC 5869. Changing one breaks every key in the field.
func TestDerivationsNeverChange(t *testing.T) {
	s := countingSeed()
	ss := Shadowsocks{Method: "aes-256-gcm", Password: "-lmuy_LHV-5VjYil6DrNWRQVEqNuBgAz", Prefix: "6pXWju_b_m"}
	if got := s.Shadowsocks(); got != ss {
		t.Errorf("Shadowsocks() = %+v, want %+v", got, ss)
	}
	door := DoorOf([32]byte(s), 7)
	https := HTTPS{Username: "3EuroGac94f87hp9H5GSiXQ", Password: "6otZ4Jti6q2GlCbA_YMnUDEYSY4H6xQL", Probe: "pnj5lkqaygv2tg3b.invalid"}
	if got := s.HTTPS(door); got != https {
		t.Errorf("HTTPS() = %+v, want %+v", got, https)
	}
	for method, want := range map[string]string{
		Method2022AES128: "960df91b16a15372f1486eab45bca6bb",
		Method2022AES256: "19aaf59dae7e9208d3d51d4ed1b0336b4dbff83c4c3aa4f34154f9a3b47173ce",
	} {
		if got := hex.EncodeToString(s.PSK(method)); got != want {
			t.Errorf("PSK(%q) = %s, want %s", method, got, want)
		}
	}
	for method, want := range map[string]string{
		Method2022AES128: "Iv1JK3Gz5PX7Z41NWQ4VFg==:lg35GxahU3LxSG6rRbymuw==",
		Method2022AES256: "6sqUS0EbY5xF3h4DiQt9dD/f7/oFsVR8YD39R4oUbM0=:Gar1na5+kgjT1R1O0bAza02/+DxMOqTzQVT5o7Rxc84=",
	} {
		if got := s.Shadowsocks2022(method, door); got != (Shadowsocks{Method: method, Password: want}) {
			t.Errorf("Shadowsocks2022(%q) = %+v, want %s", method, got, want)
		}
	}
	if got := s.DynamicToken(); got != "BEJ0FAcfMVeEpnS2qA0FAA" {
		t.Errorf("DynamicToken() = %q", got)
	}
}

func TestNewSeedsDiffer(t *testing.T) {
	a, errA := New()
	b, errB := New()
	if errA != nil || errB != nil || a == b || a == (Seed{}) {
		t.Fatalf("two new seeds: equal %v, zero %v, errors %v %v", a == b, a == (Seed{}), errA, errB)
	}
	if a.Shadowsocks() == b.Shadowsocks() || a.HTTPS(Door{}) == b.HTTPS(Door{}) || a.DynamicToken() == b.DynamicToken() {
		t.Fatal("two seeds gave one credential")
	}
}

func TestSeedNeverPrints(t *testing.T) {
	s := countingSeed()
	holder := struct{ Secret Seed }{s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%t", "% x"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", holder)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "seed", s, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "seed", s, "holder", holder)
	for _, leak := range []string{hex.EncodeToString(s[4:8]), "4 5 6 7", "4, 5, 6, 7", "0x4, 0x5", "AAECAw"} {
		if strings.Contains(strings.ToLower(out.String()), strings.ToLower(leak)) {
			t.Errorf("a seed printed as %q in:\n%s", leak, out.String())
		}
	}
	for _, v := range []any{s, &s, holder, map[string]Seed{"k": s}} {
		if raw, err := json.Marshal(v); !errors.Is(err, ErrSeedIsSecret) {
			t.Errorf("json.Marshal(%T) = %s, %v; want ErrSeedIsSecret", v, raw, err)
		}
	}
	if raw, err := json.Marshal(map[Seed]int{s: 1}); err == nil {
		t.Errorf("json.Marshal of a map by seed = %s; want an error", raw)
	}
}

func TestPortSpreadsKeys(t *testing.T) {
	seen := map[int]int{}
	for id := range int64(1000) {
		seen[Port(8388, 10, id)]++
	}
	for port := 8388; port < 8398; port++ {
		if seen[port] != 100 {
			t.Errorf("port %d has %d of 1000 keys, want 100", port, seen[port])
		}
	}
	for _, c := range []struct {
		count int
		id    int64
		want  int
	}{{0, 7, 443}, {1, 7, 443}, {2, 7, 444}, {3, -1, 443}} {
		if got := Port(443, c.count, c.id); got < 443 || got > 443+max(c.count-1, 0) || got != c.want {
			t.Errorf("Port(443, %d, %d) = %d, want %d", c.count, c.id, got, c.want)
		}
	}
}
