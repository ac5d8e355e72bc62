package vpn

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
)

// ticketLife is how long the second step of a sign-in may take.
const ticketLife = 5 * time.Minute

// newTicket makes what says that a user has given the password: a deadline in unix seconds with its HMAC. The key is made
// of the password's hash, which no authenticator knows, and the second factor's secret, which no copy of the database
// shows: another password or second factor ends it, and every replica can check it.
func newTicket(cred Credentials, f *SecondFactor, until time.Time) string {
	seconds := until.Unix()
	return strconv.FormatInt(seconds, 10) + "." + base64.RawURLEncoding.EncodeToString(ticketMAC(cred, f, seconds))
}

func ticketMAC(cred Credentials, f *SecondFactor, seconds int64) []byte {
	mac := hmac.New(sha256.New, append(f.Secret[:len(f.Secret):len(f.Secret)], cred.PasswordHash...))
	mac.Write([]byte("stile sign-in ticket v1\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(cred.UserID)))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(seconds)))
	return mac.Sum(nil)
}

// checkTicket refuses, with CodeInvalidCredentials, a ticket that is late or not of this user.
func (s *Service) checkTicket(ctx context.Context, cred Credentials, ticket string) error {
	f, err := s.factor(ctx, cred.UserID) // there is none of an unknown user, which takes the same work to find
	if err == nil && !holdsTicket(ticket, cred, &f, s.now()) {
		err = Refusal(CodeInvalidCredentials)
	}
	return err
}

// holdsTicket reports whether newTicket made a ticket for a user with this second factor, and it is in time.
func holdsTicket(ticket string, cred Credentials, f *SecondFactor, now time.Time) bool {
	deadline, encoded, _ := strings.Cut(ticket, ".")
	seconds, err := strconv.ParseInt(deadline, 10, 64)
	sum, badSum := base64.RawURLEncoding.DecodeString(encoded)
	return err == nil && badSum == nil && f.IsOn() && now.Unix() < seconds && hmac.Equal(sum, ticketMAC(cred, f, seconds))
}
