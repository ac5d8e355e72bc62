package storetest

import (
	"time"

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

func (w *world) takeStep(factorID, step int64) error {
	return w.store.TakeCode(w.ctx, vpn.CodeUse{FactorID: factorID, Step: step})
}

func (w *world) takeRecovery(factorID int64, code int) error {
	return w.store.TakeCode(w.ctx, vpn.CodeUse{FactorID: factorID, Recovery: hash(code)})
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
	w.is(w.takeStep(first.ID, 200), vpn.ErrCodeTaken)
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
	w.is(w.takeStep(f.ID, 100), vpn.ErrCodeTaken)
	w.ok(w.takeStep(f.ID, 102))
	w.is(w.takeStep(f.ID, 102), vpn.ErrCodeTaken)
	w.is(w.takeStep(f.ID, 101), vpn.ErrCodeTaken)

	theirs := w.factor(stranger.ID, vpn.OTPSecret{2}, 1, 9)
	w.is(w.takeRecovery(f.ID, 9), vpn.ErrCodeTaken)
	w.ok(w.takeRecovery(f.ID, 1))
	w.is(w.takeRecovery(f.ID, 1), vpn.ErrCodeTaken)
	w.ok(w.store.ReplaceRecoveryCodes(w.ctx, f.ID, hashes([]int{4, 5}), by("second_factor.codes")))
	w.is(w.takeRecovery(f.ID, 2), vpn.ErrCodeTaken)
	w.ok(w.takeRecovery(f.ID, 4))
	w.ok(w.takeRecovery(theirs.ID, 1))

	// A new password leaves it; the end of the account takes it.
	_, err = w.store.SetPasswordHash(w.ctx, u.ID, "x", true, by("user.password"))
	w.ok(err)
	f, err = w.store.SecondFactor(w.ctx, u.ID)
	w.ok(err)
	is(w, "recovery codes", f.RecoveryCodes, 1)
	w.ok(w.store.RemoveSecondFactor(w.ctx, u.ID, by("second_factor.off")))
	_, err = w.store.SecondFactor(w.ctx, u.ID)
	w.is(err, vpn.ErrNotFound)
	w.is(w.takeStep(f.ID, 300), vpn.ErrCodeTaken)
	w.is(w.takeRecovery(f.ID, 5), vpn.ErrCodeTaken)
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
		"step":          func(int) error { return w.takeStep(f.ID, 101) },
		"recovery code": func(int) error { return w.takeRecovery(f.ID, 1) },
	} {
		taken := 0
		for _, err := range together(parallel, take) {
			if err == nil {
				taken++
			} else {
				w.is(err, vpn.ErrCodeTaken)
			}
		}
		is(w, what, taken, 1)
	}
}

// codesOfSessions: a session takes its code, or there is neither.
func codesOfSessions(w *world) {
	u := w.user()
	f := w.factor(u.ID, vpn.OTPSecret{1}, 1)
	session := func(client string, code vpn.CodeUse) error {
		_, err := w.store.SignIn(w.ctx, vpn.NewSession{
			UserID: u.ID, ClientID: client, Name: client, TokenHash: hash(w.unique()), DeviceLimit: 1, Code: code,
		}, by("device.sign_in"))
		return err
	}
	browser := func(code vpn.CodeUse) error {
		return w.store.AddBrowser(w.ctx, u.ID, hash(w.unique()), 5, code, by("browser.sign_in"))
	}
	step := func(n int64) vpn.CodeUse { return vpn.CodeUse{FactorID: f.ID, UserID: u.ID, Step: n} }
	recovery := vpn.CodeUse{FactorID: f.ID, UserID: u.ID, Recovery: hash(1)}
	w.ok(session("phone", step(101)))
	w.is(session("laptop", step(101)), vpn.ErrCodeTaken) // before the slot
	w.is(session("laptop", step(102)), vpn.ErrDeviceLimit)
	w.is(session("laptop", recovery), vpn.ErrDeviceLimit)
	w.ok(browser(step(102)))
	w.is(browser(step(102)), vpn.ErrCodeTaken)
	w.ok(session("phone", recovery))
	w.is(browser(recovery), vpn.ErrCodeTaken)
	left, err := w.store.Browsers(w.ctx, u.ID)
	w.ok(err)
	is(w, "browsers", len(left), 1)
}

// countedCodes: so many tries at once, then one an interval, whoever counts.
func countedCodes(w *world) {
	u := w.user()
	w.ok(w.store.BeginSecondFactor(w.ctx, u.ID, vpn.OTPSecret{1}, by("second_factor.begin")))
	f, err := w.store.SecondFactor(w.ctx, u.ID)
	w.ok(err)
	_, err = w.store.CountCode(w.ctx, f.ID, 5, time.Hour)
	w.is(err, vpn.ErrNotFound)
	w.ok(w.store.ConfirmSecondFactor(w.ctx, f.ID, 100, nil, by("second_factor.on")))
	counted := make(chan bool, parallel)
	for _, err := range together(parallel, func(int) error {
		wait, err := w.any().CountCode(w.ctx, f.ID, 5, time.Hour)
		counted <- wait <= 0
		if wait > time.Hour {
			w.Errorf("to wait for %v", wait)
		}
		return err
	}) {
		w.ok(err)
	}
	close(counted)
	n := 0
	for isCounted := range counted {
		if isCounted {
			n++
		}
	}
	is(w, "tries", n, 5)
}
