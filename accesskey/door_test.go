package accesskey

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestIssued(t *testing.T) {
	door, other := DoorOf([32]byte{1}, 1), DoorOf([32]byte{1}, 2)
	secret := countingSeed().HTTPS(door)
	if !door.Issued(secret.Username, secret.Password) {
		t.Error("an issued credential is not recognised")
	}
	elsewhere := countingSeed().HTTPS(other)
	for name, pair := range map[string][2]string{
		"another server's": {elsewhere.Username, elsewhere.Password},
		"wrong password":   {secret.Username, secret.Password[:31] + "."},
		"no password":      {secret.Username, ""},
		"no proof":         {secret.Username[:nameSize], secret.Password},
		"cut proof":        {secret.Username[:22], secret.Password},
		"longer proof":     {secret.Username + "A", secret.Password},
		"nothing":          {"", ""},
	} {
		if door.Issued(pair[0], pair[1]) {
			t.Errorf("%s: recognised", name)
		}
	}
}

func TestDoorNeverPrints(t *testing.T) {
	door := DoorOf([32]byte{1}, 1)
	text := fmt.Sprintf("%v %+v %#v %s %x %d %q", door, struct{ D Door }{door}, door, door, door, door, &door)
	if strings.Contains(text, hex.EncodeToString(door[:3])) || strings.Contains(text, fmt.Sprint(door[0], door[1])) {
		t.Error("a door printed:", text)
	}
	if raw, err := json.Marshal(door); !errors.Is(err, ErrDoorIsSecret) {
		t.Errorf("json.Marshal = %s, %v", raw, err)
	}
}
