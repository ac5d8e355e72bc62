package storetest

import (
	"errors"
	"strconv"
	"time"

	"stile/vpn"
)

// gift is a rule that gives what a code is for from now on.
func gift(plan *vpn.Plan, periods int, _ *vpn.Entitlement) (vpn.Subscription, error) {
	return vpn.Subscription{PlanID: plan.ID, StartsAt: time.Now(), ExpiresAt: time.Now().AddDate(0, 0, periods*plan.PeriodDays)}, nil
}

// signsUp makes an account by what was given.
func (w *world) signsUp(email string, n vpn.NewSignUp) (vpn.User, error) {
	n.User = vpn.NewUser{Email: email, Name: "x", PasswordHash: "x", Locale: "ru"}
	return w.store.SignUp(w.ctx, n, gift, by("user.sign_up"))
}

func invitations(w *world) {
	p := w.plan(vpn.Plan{PeriodDays: 30, DeviceLimit: 5})
	soon := time.Now().Add(time.Hour)
	_, err := w.store.AddInvitation(w.ctx, vpn.Invitation{PlanID: p.ID + 1000, ExpiresAt: soon}, hash(1), by("invitation.add"))
	w.is(err, vpn.ErrNotFound)
	gives, err := w.store.AddInvitation(w.ctx, vpn.Invitation{Email: "a@example.com", PlanID: p.ID, Periods: 2, Note: "n", ExpiresAt: soon}, hash(1), by("invitation.add"))
	w.ok(err)
	bare, err := w.store.AddInvitation(w.ctx, vpn.Invitation{ExpiresAt: soon}, hash(2), by("invitation.add"))
	w.ok(err)
	_, err = w.store.AddInvitation(w.ctx, vpn.Invitation{ExpiresAt: time.Now().Add(-time.Hour)}, hash(3), by("invitation.add"))
	w.ok(err)
	kept, err := w.store.Invitation(w.ctx, hash(1))
	w.ok(err)
	is(w, "email", kept.Email, "a@example.com")
	is(w, "periods", kept.Periods, 2)
	is(w, "holds", kept.Holds(time.Now()), true)
	_, err = w.store.Invitation(w.ctx, hash(9))
	w.is(err, vpn.ErrNotFound)

	// One for another address, late or unknown makes nothing.
	refused := vpn.Refusal(vpn.CodeInvitationInvalid)
	for n, email := range map[int]string{1: "b@example.com", 3: "b@example.com", 9: "b@example.com"} {
		_, err = w.signsUp(email, vpn.NewSignUp{Invitation: hash(n)})
		w.is(err, refused)
	}
	_, err = w.store.UserByEmail(w.ctx, "b@example.com")
	w.is(err, vpn.ErrNotFound)
	made, err := w.signsUp("a@example.com", vpn.NewSignUp{Invitation: hash(1)})
	w.ok(err)
	e, err := w.store.Entitlement(w.ctx, made.ID)
	w.ok(err)
	is(w, "plan", e.Plan.ID, p.ID)
	_, err = w.signsUp("a@example.com", vpn.NewSignUp{Invitation: hash(2)})
	w.is(err, vpn.ErrTaken) // and the invitation holds on
	_, err = w.signsUp("c@example.com", vpn.NewSignUp{Invitation: hash(2)})
	w.ok(err)
	_, err = w.signsUp("d@example.com", vpn.NewSignUp{Invitation: hash(2)})
	w.is(err, refused)
	all, err := w.store.Invitations(w.ctx, 0, 2)
	w.ok(err)
	is(w, "the newest", len(all), 2)
	older, err := w.store.Invitations(w.ctx, all[1].ID, 2)
	w.ok(err)
	is(w, "the oldest", older[0].ID, gives.ID)
	is(w, "made by it", older[0].UserID, made.ID)
	w.ok(w.store.RemoveInvitation(w.ctx, bare.ID, by("invitation.remove")))
	w.is(w.store.RemoveInvitation(w.ctx, bare.ID, by("invitation.remove")), vpn.ErrNotFound)
}

// signUpUnderLoad: an invitation that many use at once makes one account; so many as a voucher has uses get its plan, and
// nobody is left with an account without it.
func signUpUnderLoad(w *world) {
	p := w.plan(vpn.Plan{PeriodDays: 30, DeviceLimit: 5})
	soon := time.Now().Add(time.Hour)
	_, err := w.store.AddInvitation(w.ctx, vpn.Invitation{ExpiresAt: soon}, hash(1), by("invitation.add"))
	w.ok(err)
	w.ok(w.store.AddVouchers(w.ctx, vpn.Voucher{PlanID: p.ID, Periods: 1, Uses: 3}, []vpn.TokenHash{hash(2)}, by("voucher.add")))
	holds, err := w.store.HoldsVoucher(w.ctx, hash(2))
	w.ok(err)
	is(w, "the voucher holds", holds, true)
	for _, c := range []struct {
		what string
		n    vpn.NewSignUp
		code vpn.Code
		want int
	}{
		{"invitation", vpn.NewSignUp{Invitation: hash(1)}, vpn.CodeInvitationInvalid, 1},
		{"voucher", vpn.NewSignUp{Voucher: hash(2)}, vpn.CodeVoucherInvalid, 3},
	} {
		made := 0
		for i, err := range together(parallel, func(i int) error {
			_, err := w.signsUp(c.what+strconv.Itoa(i)+"@example.com", c.n)
			return err
		}) {
			u, findErr := w.store.UserByEmail(w.ctx, c.what+strconv.Itoa(i)+"@example.com")
			if err != nil {
				w.is(err, vpn.Refusal(c.code))
				w.is(findErr, vpn.ErrNotFound)
				continue
			}
			made++
			w.ok(findErr)
			if e, err := w.store.Entitlement(w.ctx, u.ID); err != nil || (c.what == "voucher") != (e.Plan.ID == p.ID) {
				w.Errorf("%s: %+v, %v", c.what, e, err)
			}
		}
		is(w, c.what, made, c.want)
	}
	holds, err = w.store.HoldsVoucher(w.ctx, hash(2))
	w.ok(err)
	is(w, "the voucher holds", holds, false)
}

func pendingSignUps(w *world) {
	soon := time.Now().Add(time.Hour)
	p := vpn.PendingSignUp{Email: "a@example.com", Locale: "en", Invitation: hash(77), ExpiresAt: soon}
	late := p
	late.ExpiresAt = time.Now().Add(-time.Minute)
	w.ok(w.store.AddSignUp(w.ctx, late, hash(1), 3))
	_, err := w.signsUp("a@example.com", vpn.NewSignUp{Pending: hash(1)})
	w.is(err, vpn.ErrNotFound)
	for n := 2; n <= 5; n++ {
		w.ok(w.store.AddSignUp(w.ctx, p, hash(n), 3))
	}
	for n, want := range map[int]error{1: vpn.ErrNotFound, 2: vpn.ErrNotFound, 3: nil, 5: nil} {
		kept, err := w.store.PendingSignUp(w.ctx, hash(n))
		if !errors.Is(err, want) {
			w.Errorf("number %d: %v, want %v", n, err, want)
		}
		if err == nil {
			is(w, "locale", kept.Locale, "en")
			is(w, "invitation", kept.Invitation, hash(77))
			is(w, "voucher", kept.Voucher, vpn.TokenHash{})
		}
	}
	made := 0
	for _, err := range together(parallel, func(i int) error {
		_, err := w.signsUp(strconv.Itoa(i)+"@example.com", vpn.NewSignUp{Pending: hash(5)})
		return err
	}) {
		if err == nil {
			made++
		} else {
			w.is(err, vpn.ErrNotFound)
		}
	}
	is(w, "accounts by one link", made, 1)
}

// resetKeepsDevices: whoever only forgot the password keeps devices and tokens, and no browser.
func resetKeepsDevices(w *world) {
	u := w.user()
	d, _ := w.signIn(u.ID)
	w.browse(u.ID, 5)
	w.ok(w.store.SetPasswordReset(w.ctx, u.ID, hash(1), time.Now().Add(time.Hour), by("user.reset")))
	_, changed, err := w.store.RedeemPasswordReset(w.ctx, hash(1), "new", true, by("user.password"))
	w.ok(err)
	is(w, "changed nodes", len(changed), 0)
	devices, err := w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	is(w, "devices", len(devices), 1)
	is(w, "the device", devices[0].ID, d.DeviceID)
	browsers, err := w.store.Browsers(w.ctx, u.ID)
	w.ok(err)
	is(w, "browsers", len(browsers), 0)
	_, _, err = w.store.RedeemPasswordReset(w.ctx, hash(1), "new", true, by("user.password"))
	w.is(err, vpn.ErrNotFound)
}
