package vpn

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Whatever prints an address prints a placeholder; Reveal alone writes it.
func TestAddressNeverPrints(t *testing.T) {
	a := AddressOf([32]byte{1}, 6, time.UnixMilli(1_790_000_000_000))
	secret := a.Reveal()[2:]
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "address", a, "group", slog.GroupValue(slog.Any("address", a)))
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "address", a)
	printed := log.String() + fmt.Sprintf("%v %+v %#v %s %d %x %q %v", a, a, a, a, a, a, a, []Address{a})
	if strings.Contains(printed, secret) || strings.Contains(printed, fmt.Sprintf("%x", a.secret)) || strings.Contains(printed, fmt.Sprint(a.secret)) {
		t.Error(printed)
	}
	if _, err := json.Marshal(struct{ A Address }{a}); !errors.Is(err, ErrAddressIsSecret) {
		t.Errorf("JSON: %v", err)
	}
}

// An address is read back; another device, instant or secret is another address.
func TestAddress(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	a := AddressOf([32]byte{1}, 6, at)
	if got, ok := ParseAddress(a.Reveal()); !ok || !got.equal(a) {
		t.Errorf("%s is not read back", a.Reveal())
	}
	for name, b := range map[string]Address{
		"device": AddressOf([32]byte{1}, 7, at), "instant": AddressOf([32]byte{1}, 6, at.Add(time.Millisecond)), "secret": AddressOf([32]byte{2}, 6, at), "none": {},
	} {
		if b.equal(a) || b.secret == a.secret {
			t.Errorf("another %s, the same address", name)
		}
	}
	// Addresses are in use: they must never change with a new version.
	if got := a.Reveal(); got != "6.e5uhSy_rkkrBEUDkx8tT5A" {
		t.Errorf("the address is %s now", got)
	}
}

// FuzzParseAddress reads any text: what is taken is written as it was read.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"", ".", "6.", "6.AAAAAAAAAAAAAAAAAAAAAA", "06.AAAAAAAAAAAAAAAAAAAAAA", "+6.AAAAAAAAAAAAAAAAAAAAAA", "6.AAAAAAAAAAAAAAAAAAAAAB", "0.AAAAAAAAAAAAAAAAAAAAAA", "6.AAAAAAAAAAAAAAAAAAAA\r\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if a, ok := ParseAddress(text); ok && (a.Reveal() != text || a.DeviceID <= 0) {
			t.Errorf("%q was read as %s", text, a.Reveal())
		}
	})
}
