package wire

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestSignature(t *testing.T) {
	secret, body, now := []byte("secret"), []byte(`{"a":1}`), time.Unix(1_700_000_000, 0)
	// By: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
	const want = "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
	header := Sign(secret, body, now)
	if header != want {
		t.Errorf("signed: %s", header)
	}
	_, mac, _ := strings.Cut(header, ",")
	for name, c := range map[string]struct {
		header, secret, body string
		now                  time.Time
		want                 error
	}{
		"right":              {header, "secret", `{"a":1}`, now, nil},
		"two secrets":        {"v1=00, " + header + ",v0=x", "secret", `{"a":1}`, now, nil},
		"at the edge":        {header, "secret", `{"a":1}`, now.Add(SignatureTolerance), nil},
		"old":                {header, "secret", `{"a":1}`, now.Add(SignatureTolerance + time.Second), ErrSignatureOld},
		"from the future":    {header, "secret", `{"a":1}`, now.Add(-SignatureTolerance - time.Second), ErrSignatureOld},
		"another secret":     {header, "Secret", `{"a":1}`, now, ErrSignature},
		"another body":       {header, "secret", `{"a":2}`, now, ErrSignature},
		"another time":       {"t=1700000001," + mac, "secret", `{"a":1}`, now, ErrSignature},
		"no time":            {mac, "secret", `{"a":1}`, now, ErrSignature},
		"nothing":            {"", "secret", `{"a":1}`, now, ErrSignature},
		"longer than anyone": {header + strings.Repeat(",v1=00", 200), "secret", `{"a":1}`, now, ErrSignature},
	} {
		if err := VerifySignature(c.header, []byte(c.secret), []byte(c.body), c.now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzVerifySignature(f *testing.F) {
	secret, body, now := []byte("secret"), []byte("body"), time.Unix(1_700_000_000, 0)
	f.Add(Sign(secret, body, now))
	f.Add("t=1,v1=zz")
	f.Fuzz(func(t *testing.T, header string) {
		if err := VerifySignature(header, []byte("another"), body, now); err == nil {
			t.Errorf("%q is taken", header)
		}
	})
}
