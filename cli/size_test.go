package cli

import "testing"

func TestSize(t *testing.T) {
	for text, want := range map[string]size{
		"0": 0, "1500": 1500, "100GB": 100_000_000_000, "4GiB": 4 << 30, "1.5 kb": 1500, "7b": 7,
	} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "GB", "NaN", "1e30", "9223372036854775808", "10 apples"} {
		var got size
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %d", text, got)
		}
	}
}

func TestPortRange(t *testing.T) {
	for text, want := range map[string]portRange{
		"8388": {8388, 1}, "8388-8403": {8388, 16}, "0": {0, 1}, "65535": {65535, 1},
	} {
		var got portRange
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v %q, %v", text, got, got, err)
		}
	}
	for _, text := range []string{"", "65536", "1-65536", "9-8", "-1", "0-5", "a-b", "1-2-3"} {
		var got portRange
		if err := got.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func FuzzSize(f *testing.F) {
	f.Add("100GB")
	f.Fuzz(func(t *testing.T, text string) {
		var s size
		if err := s.UnmarshalText([]byte(text)); err == nil && s < 0 {
			t.Errorf("%q is %d bytes", text, s)
		}
		var p portRange
		if err := p.UnmarshalText([]byte(text)); err == nil && (p.first < 0 || p.count < 1 || p.first+p.count > 65536) {
			t.Errorf("%q is %v", text, p)
		}
	})
}
