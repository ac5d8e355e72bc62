package storetest

import (
	"stile/vpn"
)

// factor turns a user's second factor on, with recovery codes that the numbers stand for.
func (w *world) factor(userID int64, secret vpn.OTPSecret, codes ...int) vpn.SecondFactor {
	w.Helper()
	w.ok(w.store.BeginSecondFactor(w.ctx, userID, secret, by("second_factor.begin")))
	f, err := w.store.SecondFactor(w.ctx, userID)
	w.ok(err)
	w.ok(w.store.ConfirmSecondFactor(w.ctx, f.ID, 100, hashes(codes), by("second_factor.on")))
	f, err = w.store.SecondFactor(w.ctx, userID)
	w.ok(err)
	return f
}

func hashes(numbers []int) (all []vpn.TokenHash) {
	for _, n := range numbers {
		all = append(all, hash(n))
	}
	return all
}

func secondFactors(w *world) {
	u, stranger := w.user(), w.user()
	_, err := w.store.SecondFactor(w.ctx, u.ID)
	w.is(err, vpn.ErrNotFound)
	w.is(w.store.BeginSecondFactor(w.ctx, u.ID+1000, vpn.OTPSecret{}, by("second_factor.begin")), vpn.ErrNotFound)
	w.is(w.store.RemoveSecondFactor(w.ctx, u.ID, by("second_factor.off")), vpn.ErrNotFound)

	// One that was never confirmed makes room, and then can't be confirmed any more.
	w.ok(w.store.BeginSecondFactor(w.ctx, u.ID, vpn.OTPSecret{1}, by("second_factor.begin")))
	first, err := w.store.SecondFactor(w.ctx, u.ID)
	w.ok(err)
	is(w, "on", first.IsOn(), false)
	is(w, "secret", [20]byte(first.Secret), [20]byte{1})
	w.is(w.store.TakeStep(w.ctx, first.ID, 200), vpn.ErrNotFound)
	w.is(w.store.ReplaceRecoveryCodes(w.ctx, first.ID, hashes([]int{1}), by("second_factor.codes")), vpn.ErrNotFound)
	f := w.factor(u.ID, vpn.OTPSecret{2}, 1, 2, 3)
	is(w, "on", f.IsOn(), true)
	is(w, "secret", [20]byte(f.Secret), [20]byte{2})
	is(w, "its user", f.UserID, u.ID)
	is(w, "recovery codes", f.RecoveryCodes, 3)
	w.is(w.store.ConfirmSecondFactor(w.ctx, first.ID, 100, nil, by("second_factor.on")), vpn.ErrNotFound)
	w.is(w.store.ConfirmSecondFactor(w.ctx, f.ID, 100, nil, by("second_factor.on")), vpn.ErrNotFound)
	w.is(w.store.BeginSecondFactor(w.ctx, u.ID, vpn.OTPSecret{3}, by("second_factor.begin")), vpn.ErrTaken)

	// Steps go forward only; the one that confirmed is taken.
	w.is(w.store.TakeStep(w.ctx, f.ID, 100), vpn.ErrNotFound)
	w.ok(w.store.TakeStep(w.ctx, f.ID, 102))
	w.is(w.store.TakeStep(w.ctx, f.ID, 102), vpn.ErrNotFound)
	w.is(w.store.TakeStep(w.ctx, f.ID, 101), vpn.ErrNotFound)

	theirs := w.factor(stranger.ID, vpn.OTPSecret{2}, 1, 9)
	w.is(w.store.TakeRecoveryCode(w.ctx, f.ID, hash(9), by("second_factor.recover")), vpn.ErrNotFound)
	w.ok(w.store.TakeRecoveryCode(w.ctx, f.ID, hash(1), by("second_factor.recover")))
	w.is(w.store.TakeRecoveryCode(w.ctx, f.ID, hash(1), by("second_factor.recover")), vpn.ErrNotFound)
	w.ok(w.store.ReplaceRecoveryCodes(w.ctx, f.ID, hashes([]int{4, 5}), by("second_factor.codes")))
	w.is(w.store.TakeRecoveryCode(w.ctx, f.ID, hash(2), by("second_factor.recover")), vpn.ErrNotFound)
	w.ok(w.store.TakeRecoveryCode(w.ctx, f.ID, hash(4), by("second_factor.recover")))
	w.ok(w.store.TakeRecoveryCode(w.ctx, theirs.ID, hash(1), by("second_factor.recover")))

	// A new password leaves it; the end of the account takes it.
	_, err = w.store.SetPasswordHash(w.ctx, u.ID, "x", true, by("user.password"))
	w.ok(err)
	f, err = w.store.SecondFactor(w.ctx, u.ID)
	w.ok(err)
	is(w, "recovery codes", f.RecoveryCodes, 1)
	w.ok(w.store.RemoveSecondFactor(w.ctx, u.ID, by("second_factor.off")))
	_, err = w.store.SecondFactor(w.ctx, u.ID)
	w.is(err, vpn.ErrNotFound)
	w.is(w.store.TakeStep(w.ctx, f.ID, 300), vpn.ErrNotFound)
	w.is(w.store.TakeRecoveryCode(w.ctx, f.ID, hash(5), by("second_factor.recover")), vpn.ErrNotFound)
	_, err = w.store.RemoveUser(w.ctx, stranger.ID, by("user.remove"))
	w.ok(err)
	_, err = w.store.SecondFactor(w.ctx, stranger.ID)
	w.is(err, vpn.ErrNotFound)
}

// codesUnderLoad: a code that many give at once lets one in.
func codesUnderLoad(w *world) {
	u := w.user()
	f := w.factor(u.ID, vpn.OTPSecret{1}, 1)
	for what, take := range map[string]func(int) error{
		"step":          func(int) error { return w.store.TakeStep(w.ctx, f.ID, 101) },
		"recovery code": func(int) error { return w.store.TakeRecoveryCode(w.ctx, f.ID, hash(1), by("second_factor.recover")) },
	} {
		taken := 0
		for _, err := range together(parallel, take) {
			if err == nil {
				taken++
			} else {
				w.is(err, vpn.ErrNotFound)
			}
		}
		is(w, what, taken, 1)
	}
}
