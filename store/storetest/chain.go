package storetest

import (
	"errors"
	"time"

	"stile/vpn"
)

// anchored puts everything under the chain: as soon as transactions have ended that others run on the same server.
func (w *world) anchored() {
	w.Helper()
	for {
		_, err := w.store.AnchorAudit(w.ctx)
		w.ok(err)
		newest, err := w.store.AuditLog(w.ctx, 0, 1)
		w.ok(err)
		if len(newest) == 0 || w.chained().LastID == newest[0].ID {
			return
		}
	}
}

// chained is what a check finds.
func (w *world) chained() vpn.AuditChain {
	w.Helper()
	c, err := w.store.VerifyAudit(w.ctx, nil)
	w.ok(err)
	return c
}

func auditChain(w *world) {
	w.anchored()
	if c := w.chained(); c != (vpn.AuditChain{}) {
		w.Fatalf("the chain of an empty log: %+v", c)
	}
	for range 3 {
		w.user()
	}
	w.anchored()
	first := w.chained()
	is(w, "entries", first.Entries, 3)
	is(w, "broken", first.IsBroken, false)
	w.anchored() // nothing new: nothing changes
	is(w, "again", w.chained(), first)

	w.user()
	is(w, "not chained yet", w.chained(), first)
	w.anchored()
	var want vpn.AuditHash
	var n int64
	c, err := w.store.VerifyAudit(w.ctx, func(a vpn.Audit, h vpn.AuditHash) error {
		n++
		if want = want.Next(&a); h != want {
			w.Fatalf("entry %d: hash %x, want %x", a.ID, h, want)
		}
		if n == first.Entries && h != first.Head {
			w.Fatal("an earlier head does not come again")
		}
		return nil
	})
	w.ok(err)
	is(w, "entries", c.Entries, 4)
	is(w, "yielded", n, 4)
	is(w, "head", c.Head, want)
	stop := errors.New("enough")
	_, err = w.store.VerifyAudit(w.ctx, func(vpn.Audit, vpn.AuditHash) error { return stop })
	w.is(err, stop)
}

// auditChainUnderLoad anchors while many write: no entry stays outside.
func auditChainUnderLoad(w *world) {
	u := w.user()
	for _, err := range together(parallel, func(i int) error {
		if i%8 == 0 {
			_, err := w.any().AnchorAudit(w.ctx)
			return err
		}
		for range 8 {
			if err := w.any().SetUserStatus(w.ctx, u.ID, vpn.UserActive, by("user.active")); err != nil {
				return err
			}
		}
		return nil
	}) {
		w.ok(err)
	}
	w.anchored()
	w.anchored()
	c := w.chained()
	is(w, "broken", c.IsBroken, false)
	is(w, "entries", c.Entries, 1+8*(parallel-parallel/8))
}

func userAudit(w *world) {
	u, other, server := w.user(), w.user(), w.server()
	in, _ := w.signIn(u.ID)
	_, err := w.store.IssueKey(w.ctx, w.newKey(u.ID, in.DeviceID, server.ID), vpn.Audit{ActorID: u.ID, Action: "key.issue"})
	w.ok(err)
	w.ok(w.store.SetUserStatus(w.ctx, u.ID, vpn.UserBlocked, vpn.Audit{ActorID: other.ID, Action: "user.blocked"}))
	w.ok(w.store.RenameDevice(w.ctx, u.ID, in.DeviceID, "x", vpn.Audit{ActorID: u.ID, Action: "device.rename"}))
	actions := func(userID, before int64, limit int) (words []string, last int64) {
		w.Helper()
		page, err := w.store.UserAudit(w.ctx, userID, before, limit)
		w.ok(err)
		for _, a := range page {
			words, last = append(words, a.Action), a.ID
		}
		return words, last
	}
	same := func(got []string, want ...string) {
		w.Helper()
		if len(got) != len(want) {
			w.Fatalf("got %v, want %v", got, want)
		}
		for i := range want {
			is(w, "action", got[i], want[i])
		}
	}
	all, _ := actions(u.ID, 0, 10)
	same(all, "device.rename", "user.blocked", "user.add")
	page, last := actions(u.ID, 0, 2)
	same(page, "device.rename", "user.blocked")
	page, _ = actions(u.ID, last, 2)
	same(page, "user.add")
}

func answers(w *world) {
	digest, other := [32]byte{1}, [32]byte{2}
	long := time.Now().Add(-24 * time.Hour)
	claim := func(userID int64, name string, d [32]byte, since time.Time) vpn.Answer {
		w.Helper()
		a, err := w.store.ClaimAnswer(w.ctx, userID, name, d, since)
		w.ok(err)
		return a
	}
	is(w, "first", claim(1, "k", digest, long).IsMine, true)
	if a := claim(1, "k", digest, long); a.IsMine || !a.IsSame || a.IsDone {
		w.Fatalf("while it is done: %+v", a)
	}
	is(w, "another user's", claim(2, "k", digest, long).IsMine, true)
	is(w, "another name", claim(1, "l", digest, long).IsMine, true)
	w.ok(w.store.KeepAnswer(w.ctx, 1, "k", digest, []byte("answer")))
	if a := claim(1, "k", digest, long); a.IsMine || !a.IsSame || !a.IsDone || string(a.Body) != "answer" {
		w.Fatalf("again: %+v", a)
	}
	if a := claim(1, "k", other, long); a.IsMine || a.IsSame {
		w.Fatalf("another request: %+v", a)
	}
	w.ok(w.store.DropAnswer(w.ctx, 1, "k")) // complete: it stays
	is(w, "kept", claim(1, "k", digest, long).IsDone, true)
	w.ok(w.store.DropAnswer(w.ctx, 1, "l"))
	is(w, "dropped", claim(1, "l", other, long).IsMine, true)
	later := time.Now().Add(time.Hour)
	is(w, "too old", claim(1, "k", other, later).IsMine, true)
	w.ok(w.store.ForgetAnswers(w.ctx, later))
	w.ok(w.store.ForgetAnswers(w.ctx, later))
	is(w, "forgotten", claim(2, "k", other, long).IsMine, true)
	w.is(w.store.KeepAnswer(w.ctx, 3, "k", digest, nil), vpn.ErrNotFound)

	mine := 0
	for _, err := range together(parallel, func(int) error {
		a, err := w.any().ClaimAnswer(w.ctx, 9, "k", digest, long)
		if a.IsMine {
			w.mu.Lock()
			mine++
			w.mu.Unlock()
		}
		return err
	}) {
		w.ok(err)
	}
	is(w, "claims", mine, 1)
}

func passwordResets(w *world) {
	u := w.user()
	soon := time.Now().Add(time.Hour)
	w.is(w.store.SetPasswordReset(w.ctx, u.ID+1000, hash(1), soon, by("user.reset")), vpn.ErrNotFound)
	w.ok(w.store.SetPasswordReset(w.ctx, u.ID, hash(1), soon, by("user.reset")))
	w.ok(w.store.SetPasswordReset(w.ctx, u.ID, hash(2), soon, by("user.reset"))) // the newest counts
	_, _, err := w.store.PasswordReset(w.ctx, hash(1))
	w.is(err, vpn.ErrNotFound)
	who, _, err := w.store.PasswordReset(w.ctx, hash(2))
	w.ok(err)
	is(w, "whose", who, u.ID)
	_, token := w.signIn(u.ID)
	redeemed := 0
	for _, err := range together(8, func(int) error {
		_, _, err := w.any().RedeemPasswordReset(w.ctx, hash(2), "new", false, by("user.password"))
		return err
	}) {
		if err == nil {
			redeemed++
		} else {
			w.is(err, vpn.ErrNotFound)
		}
	}
	is(w, "redeemed", redeemed, 1)
	_, err = w.store.Session(w.ctx, 0, token)
	w.is(err, vpn.ErrNotFound)
	c, err := w.store.Credentials(w.ctx, u.Email)
	w.ok(err)
	is(w, "hash", c.PasswordHash, "new")
	// One that is too late changes nothing.
	w.ok(w.store.SetPasswordReset(w.ctx, u.ID, hash(3), time.Now().Add(-time.Second), by("user.reset")))
	_, _, err = w.store.RedeemPasswordReset(w.ctx, hash(3), "late", false, by("user.password"))
	w.is(err, vpn.ErrNotFound)
	c, err = w.store.Credentials(w.ctx, u.Email)
	w.ok(err)
	is(w, "hash", c.PasswordHash, "new")
}

func filteredUsers(w *world) {
	p := w.plan(vpn.Plan{PeriodDays: 30})
	var ids []int64
	at := time.UnixMilli(1_900_000_000_000).UTC()
	for i, email := range []string{"b1@example.com", "a2@example.com", "a1@example.com", "c@example.com", "ab@example.com"} {
		u, err := w.store.AddUser(w.ctx, vpn.NewUser{Email: email, Name: "N"}, by("user.add"))
		w.ok(err)
		ids = append(ids, u.ID)
		if i < 4 {
			w.ok(w.setSubscription(vpn.Subscription{UserID: u.ID, PlanID: p.ID, ExpiresAt: at.Add(time.Duration(-i) * time.Hour)}, by("subscription.set")))
		}
	}
	w.ok(w.store.SetUserStatus(w.ctx, ids[2], vpn.UserBlocked, by("user.blocked")))
	w.ok(w.store.SetRole(w.ctx, ids[1], vpn.RoleViewer, by("user.role")))
	for name, c := range map[string]struct {
		f    vpn.UserFilter
		want []int
	}{
		"prefix":             {vpn.UserFilter{EmailPrefix: "a"}, []int{2, 1, 4}},
		"prefix and plan":    {vpn.UserFilter{EmailPrefix: "a", PlanID: p.ID}, []int{2, 1}},
		"prefix and blocked": {vpn.UserFilter{EmailPrefix: "a", Status: vpn.UserBlocked}, []int{2}},
		"pattern letters":    {vpn.UserFilter{EmailPrefix: "%"}, nil},
		"blocked":            {vpn.UserFilter{Status: vpn.UserBlocked}, []int{2}},
		"active":             {vpn.UserFilter{Status: vpn.UserActive}, []int{0, 1, 3, 4}},
		"staff":              {vpn.UserFilter{IsStaff: true}, []int{1}},
		"plan":               {vpn.UserFilter{PlanID: p.ID}, []int{0, 1, 2, 3}},
		"no such plan":       {vpn.UserFilter{PlanID: p.ID + 1}, nil},
		"expiry":             {vpn.UserFilter{ExpiresBefore: at}, []int{3, 2, 1}},
		"expiry after":       {vpn.UserFilter{ExpiresAfter: at.Add(-time.Hour)}, []int{1, 0}},
		"both":               {vpn.UserFilter{ExpiresAfter: at.Add(-2 * time.Hour), ExpiresBefore: at, PlanID: p.ID}, []int{2, 1}},
		"expiry and search":  {vpn.UserFilter{ExpiresBefore: at, Search: "a1@"}, []int{2}},
		"search and blocked": {vpn.UserFilter{Search: "EXAMPLE", Status: vpn.UserBlocked}, []int{2}},
	} {
		for _, limit := range []int{1, 2, 10} {
			f := c.f
			f.Limit = limit
			var got []int64
			for {
				page, err := w.store.Users(w.ctx, f)
				w.ok(err)
				for i := range page.Users {
					got = append(got, page.Users[i].ID)
				}
				if f.After = page.Next; f.After == 0 {
					break
				}
			}
			if len(got) != len(c.want) {
				w.Fatalf("%s, by %d: got %v", name, limit, got)
			}
			for i, want := range c.want {
				is(w, name, got[i], ids[want])
			}
		}
	}
}
