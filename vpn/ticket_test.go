package vpn

import (
	"testing"
	"time"
)

// Nothing but the ticket itself is taken for one, and only in time.
func FuzzTicket(f *testing.F) {
	now := time.Unix(1_790_000_000, 0)
	cred := Credentials{UserID: 7, PasswordHash: "hash"}
	factor := SecondFactor{ID: 1, UserID: 7, Secret: OTPSecret{1}, ConfirmedAt: now}
	good := newTicket(cred, &factor, now.Add(ticketLife))
	for _, seed := range []string{good, good + "x", "", ".", "9223372036854775807.", "-1.AAAA", "1.é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ticket string) {
		if holdsTicket(ticket, cred, &factor, now) && len(ticket) != len(good) {
			t.Errorf("%q is taken for %q", ticket, good)
		}
		if holdsTicket(ticket, cred, &factor, now.Add(ticketLife)) {
			t.Errorf("%q is late", ticket)
		}
	})
}
