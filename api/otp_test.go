package api

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"stile/vpn"
	"stile/wire"
)

// careful makes an account with a second factor and returns its secret and recovery codes.
func (w *world) careful(email string) (vpn.OTPSecret, []string) {
	w.t.Helper()
	ctx := w.t.Context()
	u := must(w.service.AddUser(ctx, vpn.Shell(), vpn.NewAccount{Email: email, Password: examplePassword}))(w.t)
	if err := w.service.BeginSecondFactor(ctx, &vpn.Actor{User: u}, examplePassword, netip.MustParseAddr("192.0.2.1")); err != nil {
		w.t.Fatal(err)
	}
	secret := must(w.service.SecondFactor(ctx, &vpn.Actor{User: u}))(w.t).Secret
	return secret, must(w.service.ConfirmSecondFactor(ctx, &vpn.Actor{User: u}, w.otp(secret, 0)))(w.t)
}

// otp is the code that an authenticator shows so many steps from now (RFC 6238).
func (w *world) otp(secret vpn.OTPSecret, steps int64) string {
	mac := hmac.New(sha1.New, secret[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(w.now().Unix()/30+steps)))
	sum := mac.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1_000_000)
}

// A code signs in once, on any device; the order of the checks is that of the document.
func TestSecondFactor(t *testing.T) {
	w := setup(t, engines[0].dsn(t))
	secret, _ := w.careful("careful@example.com")
	login := func(device, otp string) reply {
		w.pass(time.Minute) // the throttle forgets, and the next code comes
		return w.as("", "POST", "/api/login", `{"email":"careful@example.com","password":"password123","device_id":"`+device+`","device_name":"n","otp":"`+otp+`"}`)
	}
	wantProblem(t, login("a", ""), http.StatusUnauthorized, vpn.CodeOTPRequired)
	code := w.otp(secret, 2)
	token := decode[wire.LoginResponse](t, login("a", code), http.StatusOK).Token
	decode[wire.User](t, w.as(token, "GET", "/api/user", ""), http.StatusOK)
	w.pass(-time.Minute)
	wantProblem(t, login("a", code), http.StatusUnauthorized, vpn.CodeOTPInvalid)
	u := must(w.store.UserByEmail(t.Context(), "careful@example.com"))(t)
	if err := w.service.SetUserStatus(t.Context(), vpn.Shell(), u.ID, vpn.UserBlocked); err != nil {
		t.Fatal(err)
	}
	wantProblem(t, login("a", "000"), http.StatusForbidden, vpn.CodeAccountBlocked)
}
