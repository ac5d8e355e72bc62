package storetest

import (
	"errors"
	"slices"
	"time"

	"stile/vpn"
)

// longer adds a day to a subscription.
func longer(old *vpn.Entitlement) (vpn.Subscription, error) {
	sub := old.Subscription
	sub.ExpiresAt = sub.ExpiresAt.Add(24 * time.Hour)
	return sub, nil
}

// renewals: none of many at once is lost.
func renewals(w *world, plan vpn.Plan) {
	u := w.user()
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: today}, by("x")))
	for _, err := range together(parallel, func(int) error {
		_, err := w.any().ChangeSubscription(w.ctx, u.ID, longer, by("renew"))
		return err
	}) {
		w.ok(err)
	}
	w.expiresIs(u.ID, parallel)
}

// expiresIs fails unless a subscription ends so many days after today.
func (w *world) expiresIs(userID int64, days int) {
	w.Helper()
	e, err := w.store.Entitlement(w.ctx, userID)
	w.ok(err)
	is(w, "days", e.Subscription.ExpiresAt, today.Add(time.Duration(days)*24*time.Hour))
}

// payments: a payment extends a subscription once, however often it is told at once.
func payments(w *world) {
	u, plan := w.user(), w.plan(vpn.Plan{PeriodDays: 30})
	w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: today}, by("x")))
	p := vpn.Payment{ID: "pi_1", UserID: u.ID, PlanID: plan.ID, Periods: 1, Amount: 49_900, Currency: "RUB"}
	news := make([]bool, parallel)
	for _, err := range together(parallel, func(i int) error {
		taken, sub, isNew, err := w.any().TakePayment(w.ctx, p, longer, by("payment.take"))
		news[i] = isNew
		if err == nil && (taken.CreatedAt.IsZero() || sub.ExpiresAt != today.Add(24*time.Hour)) {
			return errors.New("another payment or subscription came back")
		}
		return err
	}) {
		w.ok(err)
	}
	count := 0
	for _, isNew := range news {
		if isNew {
			count++
		}
	}
	is(w, "taken", count, 1)
	w.expiresIs(u.ID, 1)
	is(w, "audit entries", w.audited("payment.take"), 1)
	other := p
	other.Amount, other.UserID = 1, u.ID+1000
	taken, _, isNew, err := w.store.TakePayment(w.ctx, other, longer, by("payment.take"))
	w.ok(err)
	is(w, "new", isNew, false)
	p.CreatedAt = taken.CreatedAt
	is(w, "the first", taken, p)
	other.ID = "pi_2"
	_, _, _, err = w.store.TakePayment(w.ctx, other, longer, by("payment.take"))
	w.is(err, vpn.ErrNotFound)
	other.UserID = u.ID // the refused one left nothing behind
	_, _, isNew, err = w.store.TakePayment(w.ctx, other, longer, by("payment.take"))
	w.ok(err)
	is(w, "new", isNew, true)
	w.expiresIs(u.ID, 2)
}

// vouchers: so many accounts as it has uses redeem a voucher, each once.
func vouchers(w *world) {
	plan := w.plan(vpn.Plan{PeriodDays: 30})
	rule := func(p *vpn.Plan, periods int, old *vpn.Entitlement) (vpn.Subscription, error) {
		if *p != plan || periods != 3 || old.Plan.ID != 0 {
			return vpn.Subscription{}, errors.New("the rule sees something else")
		}
		return vpn.Subscription{PlanID: p.ID, StartsAt: today, ExpiresAt: today.Add(24 * time.Hour)}, nil
	}
	made := vpn.Voucher{PlanID: plan.ID, Periods: 3, Uses: 5, Note: "summer", ExpiresAt: time.Now().Add(time.Hour)}
	code, late := hash(w.unique()), hash(w.unique())
	w.ok(w.store.AddVouchers(w.ctx, made, []vpn.TokenHash{code, hash(w.unique())}, by("voucher.add")))
	w.is(w.store.AddVouchers(w.ctx, made, []vpn.TokenHash{code}, by("voucher.add")), vpn.ErrTaken)
	expired := made
	expired.ExpiresAt = time.Now().Add(-time.Hour)
	w.ok(w.store.AddVouchers(w.ctx, expired, []vpn.TokenHash{late}, by("voucher.add")))
	users := make([]vpn.User, 8)
	for i := range users {
		users[i] = w.user()
	}
	redeem := func(userID int64, code vpn.TokenHash) error {
		_, err := w.store.RedeemVoucher(w.ctx, userID, code, rule, by("voucher.redeem"))
		return err
	}
	redeemed := 0
	for _, err := range together(3*len(users), func(i int) error { return redeem(users[i/3].ID, code) }) {
		if err == nil {
			redeemed++
		} else if !errors.Is(err, vpn.ErrNotFound) {
			w.Fatal(err)
		}
	}
	is(w, "redeemed", redeemed, made.Uses)
	w.is(redeem(users[0].ID, late), vpn.ErrNotFound)
	w.is(redeem(users[0].ID, hash(w.unique())), vpn.ErrNotFound)
	all, err := w.store.Vouchers(w.ctx, 0, 10)
	w.ok(err)
	if len(all) != 3 || all[2].Used != made.Uses || all[1].Used != 0 || all[2].Note != "summer" || all[2].Uses != made.Uses {
		w.Fatalf("vouchers: %+v", all)
	}
	page, err := w.store.Vouchers(w.ctx, all[1].ID, 10)
	w.ok(err)
	is(w, "page", len(page), 1)
	w.ok(w.store.RemoveVoucher(w.ctx, all[2].ID, by("voucher.remove")))
	w.is(w.store.RemoveVoucher(w.ctx, all[2].ID, by("voucher.remove")), vpn.ErrNotFound)
}

// nextPlans: whose subscription and grace have ended gets the plan that follows.
func nextPlans(w *world) {
	free := w.plan(vpn.Plan{})
	plan := w.plan(vpn.Plan{PeriodDays: 30, GraceDays: 1, NextPlanID: free.ID, StartsAtFirstUse: true, TrafficByPeriod: true})
	ended, running := w.user(), w.user()
	w.ok(w.setSubscription(vpn.Subscription{UserID: ended.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: today}, by("x")))
	w.ok(w.setSubscription(vpn.Subscription{UserID: running.ID, PlanID: plan.ID, StartsAt: today, ExpiresAt: today.Add(time.Millisecond)}, by("x")))
	advance := func(now time.Time, want ...int64) {
		w.Helper()
		users, err := w.store.AdvancePlans(w.ctx, now, func(next *vpn.Plan) vpn.Subscription {
			is(w, "next plan", *next, free)
			return vpn.Subscription{PlanID: next.ID, StartsAt: now}
		}, 10, by("subscription.next"))
		w.ok(err)
		if !slices.Equal(users, want) {
			w.Fatalf("advanced: %v, want %v", users, want)
		}
	}
	advance(today.Add(24*time.Hour - time.Millisecond))
	advance(today.Add(24*time.Hour), ended.ID)
	advance(today.Add(24 * time.Hour))
	e, err := w.store.Entitlement(w.ctx, ended.ID)
	w.ok(err)
	is(w, "plan", e.Plan, free)
	due, err := w.store.UsersDue(w.ctx, today, 10)
	w.ok(err)
	is(w, "due", slices.Contains(due, ended.ID), true)

	// A plan that follows another and is not there keeps nobody's from following, however many wait for it.
	nowhere := w.plan(vpn.Plan{PeriodDays: 30, NextPlanID: free.ID + 1000})
	w.ok(w.setSubscription(vpn.Subscription{UserID: ended.ID, PlanID: nowhere.ID, StartsAt: today, ExpiresAt: today}, by("x")))
	_, err = w.store.RefreshKeys(w.ctx, ended.ID, vpn.KeyTerms{})
	w.ok(err)
	later := today.Add(48 * time.Hour)
	users, err := w.store.AdvancePlans(w.ctx, later, func(next *vpn.Plan) vpn.Subscription {
		return vpn.Subscription{PlanID: next.ID, StartsAt: later}
	}, 1, by("subscription.next"))
	w.ok(err)
	is(w, "who advances behind one who cannot", slices.Equal(users, []int64{running.ID}), true)
	due, err = w.store.UsersDue(w.ctx, today, 10)
	w.ok(err)
	is(w, "due for nothing", slices.Contains(due, ended.ID), false)
}
