package courier_test

import (
	"strings"
	"testing"

	"stile/courier"
)

// No address of a mail server makes the program fail, and none gets into an error.
func FuzzSMTPURL(f *testing.F) {
	for _, u := range []string{"smtp://user:seekrit@host", "smtps://host:465", "smtp://[::1]:25", "smtp://seekrit@ho st", "smtp://:seekrit@", "smtp://h:99999999", "%"} {
		f.Add(u, "VPN <vpn@example.net>")
	}
	f.Fuzz(func(t *testing.T, address, from string) {
		_, err := courier.NewSMTP(courier.SMTPConfig{URL: address, From: from})
		if err != nil && strings.Contains(err.Error(), "seekrit") && !strings.Contains(from, "seekrit") {
			t.Errorf("%q: %v", address, err)
		}
	})
}
