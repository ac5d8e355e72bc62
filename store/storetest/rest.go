package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"stile/vpn"
)

func setupLink(w *world) {
	redeem := func(h vpn.TokenHash, email string) error {
		_, err := w.store.RedeemSetup(w.ctx, h, vpn.NewUser{Email: email}, by("user.setup"))
		return err
	}
	hasOperator := func(want bool) {
		w.Helper()
		has, err := w.store.HasOperator(w.ctx)
		w.ok(err)
		is(w, "has operator", has, want)
	}
	soon := time.Now().Add(time.Hour)
	w.is(redeem(hash(1), "a@example.com"), vpn.ErrNotFound)
	w.ok(w.store.SetSetupToken(w.ctx, hash(1), time.Now().Add(-time.Second)))
	w.is(redeem(hash(1), "a@example.com"), vpn.ErrNotFound)
	holds := func(h vpn.TokenHash, want bool) {
		w.Helper()
		got, err := w.store.HoldsSetup(w.ctx, h)
		w.ok(err)
		is(w, "holds", got, want)
	}
	holds(hash(1), false)
	w.ok(w.store.SetSetupToken(w.ctx, hash(2), soon))
	holds(hash(1), false)
	holds(hash(2), true)
	w.is(redeem(hash(1), "a@example.com"), vpn.ErrNotFound)
	w.user()
	hasOperator(false)
	// A refused account leaves the link as it was.
	w.is(redeem(hash(2), "user1@example.com"), vpn.ErrTaken)
	u, err := w.store.RedeemSetup(w.ctx, hash(2), vpn.NewUser{Email: "a@example.com", Locale: "en"}, by("user.setup"))
	w.ok(err)
	is(w, "role", u.Role, vpn.RoleOwner)
	hasOperator(true)
	w.is(redeem(hash(2), "b@example.com"), vpn.ErrNotFound)
	// It is for the first operator only.
	w.ok(w.store.SetSetupToken(w.ctx, hash(3), soon))
	w.is(redeem(hash(3), "b@example.com"), vpn.ErrNotFound)
	holds(hash(3), false)
}

func setupLinkUnderLoad(w *world) {
	w.ok(w.store.SetSetupToken(w.ctx, hash(1), time.Now().Add(time.Hour)))
	redeemed := 0
	for _, err := range together(parallel, func(i int) error {
		_, err := w.any().RedeemSetup(w.ctx, hash(1), vpn.NewUser{Email: strconv.Itoa(i) + "@example.com"}, by("user.setup"))
		return err
	}) {
		if err == nil {
			redeemed++
		} else {
			w.is(err, vpn.ErrNotFound)
		}
	}
	is(w, "redeemed", redeemed, 1)
}

// audited counts the entries of an action.
func (w *world) audited(action string) (n int) {
	w.Helper()
	for before := int64(0); ; {
		page, err := w.store.AuditLog(w.ctx, before, 100)
		w.ok(err)
		for _, a := range page {
			if a.Action == action {
				n++
			}
		}
		if len(page) < 100 {
			return n
		}
		before = page[len(page)-1].ID
	}
}

// audit does everything that changes something and finds an entry for each, and none for what was refused.
func audit(w *world) {
	at := today.Add(time.Hour)
	var want []vpn.Audit
	did := func(action string, subject int64, do func(vpn.Audit) error) {
		w.Helper()
		w.ok(do(vpn.Audit{ActorID: 42, Action: action, At: at}))
		want = append(want, vpn.Audit{ActorID: 42, Action: action, SubjectID: subject, At: at})
	}
	u, server, plan := w.user(), w.server(), w.plan(vpn.Plan{})
	in, _ := w.signIn(u.ID)
	other, _ := w.signIn(u.ID)
	before, err := w.store.AuditLog(w.ctx, 0, 1000)
	w.ok(err)
	is(w, "entries so far", len(before), 5)
	is(w, "subject of the first", before[4].SubjectID, u.ID)

	did("user.password", u.ID, func(a vpn.Audit) error {
		_, err := w.store.SetPasswordHash(w.ctx, u.ID, "x", false, a)
		return err
	})
	did("user.block", u.ID, func(a vpn.Audit) error { return w.store.SetUserStatus(w.ctx, u.ID, vpn.UserBlocked, a) })
	did("device.rename", in.DeviceID, func(a vpn.Audit) error { return w.store.RenameDevice(w.ctx, u.ID, in.DeviceID, "x", a) })
	did("device.address", in.DeviceID, func(a vpn.Audit) error {
		_, err := w.store.RotateAddress(w.ctx, u.ID, in.DeviceID, a)
		return err
	})
	did("plan.update", plan.ID, func(a vpn.Audit) error { return w.store.UpdatePlan(w.ctx, plan, a) })
	did("subscription.set", u.ID, func(a vpn.Audit) error {
		return w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID}, a)
	})
	did("server.update", server.ID, func(a vpn.Audit) error { return w.store.UpdateServer(w.ctx, server, a) })
	var keyID int64
	issue := func(a vpn.Audit) error {
		k, err := w.store.IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID), a)
		keyID = k.ID
		return err
	}
	w.ok(issue(vpn.Audit{ActorID: 42, Action: "key.issue", At: at}))
	want = append(want, vpn.Audit{ActorID: 42, Action: "key.issue", SubjectID: keyID, At: at})
	w.ok(issue(vpn.Audit{ActorID: 42, Action: "key.again", At: at})) // changes nothing
	did("device.sign_out", other.DeviceID, func(a vpn.Audit) error {
		_, err := w.store.SignOut(w.ctx, other.TokenID, a)
		return err
	})
	did("device.remove", in.DeviceID, func(a vpn.Audit) error {
		_, err := w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, a)
		return err
	})
	if _, err := w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove")); err == nil {
		w.Fatal("removed twice")
	}
	did("server.remove", server.ID, func(a vpn.Audit) error {
		_, err := w.store.RemoveServer(w.ctx, server.ID, a)
		return err
	})
	did("user.remove", u.ID, func(a vpn.Audit) error {
		_, err := w.store.RemoveUser(w.ctx, u.ID, a)
		return err
	})

	log, err := w.store.AuditLog(w.ctx, 0, len(want))
	w.ok(err)
	slices.Reverse(log)
	for i, a := range log {
		if i > 0 && a.ID <= log[i-1].ID {
			w.Fatalf("entry %d after %d", a.ID, log[i-1].ID)
		}
		a.ID = 0
		is(w, "entry", a, want[i])
	}
	page, err := w.store.AuditLog(w.ctx, log[0].ID, 1000)
	w.ok(err)
	if !slices.Equal(page, before) {
		w.Fatalf("older entries: %+v, want %+v", page, before)
	}
}

// contexts: one that has ended keeps a write from beginning; answers do not depend on luck.
func contexts(w *world) {
	w.ok(w.store.Ping(w.ctx))
	u := w.user()
	ended, cancel := context.WithCancel(w.ctx)
	cancel()
	w.is(w.store.SetUserStatus(ended, u.ID, vpn.UserBlocked, by("user.block")), context.Canceled)
	got, err := w.store.User(w.ctx, u.ID)
	w.ok(err)
	is(w, "status", got.Status, vpn.UserActive)

	// Cancelled at any moment, a write either happened and said so, or did not.
	said := 0
	for _, err := range together(parallel, func(i int) error {
		ctx, cancel := context.WithTimeout(w.ctx, time.Duration(i)*50*time.Microsecond)
		defer cancel()
		_, err := w.any().AddUser(ctx, vpn.NewUser{Email: "hasty" + strconv.Itoa(i) + "@example.com"}, by("user.hasty"))
		return err
	}) {
		if err == nil {
			said++
		} else if !errors.Is(err, context.DeadlineExceeded) {
			w.Fatal(err)
		}
	}
	is(w, "users added", w.audited("user.hasty"), said)
}
