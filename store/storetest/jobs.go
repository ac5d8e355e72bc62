package storetest

import (
	"time"

	"stile/vpn"
)

func jobs(w *world) {
	users := []vpn.User{w.user(), w.user(), w.user()}
	_, err := w.store.Job(w.ctx, 1)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.ClaimJob(w.ctx, 1, time.Minute)
	w.is(err, vpn.ErrNotFound)

	// One that selects: the lease keeps others out, and the filter is forgotten when all are there.
	j, err := w.store.AddJob(w.ctx, vpn.Job{
		Bulk: vpn.Bulk{Action: vpn.BulkExtend, Days: 3}, State: vpn.JobSelecting, Filter: &vpn.UserFilter{Search: "user", IsStaff: true},
	}, nil, by("bulk.extend"))
	w.ok(err)
	claimed, err := w.store.ClaimJob(w.ctx, 1, time.Hour)
	w.ok(err)
	is(w, "claimed", claimed.ID, j.ID)
	is(w, "filter", *claimed.Filter, vpn.UserFilter{Search: "user", IsStaff: true})
	_, err = w.store.ClaimJob(w.ctx, 2, time.Hour)
	w.is(err, vpn.ErrNotFound)
	w.is(w.store.SelectForJob(w.ctx, j.ID, 2, []int64{users[0].ID}, 0), vpn.ErrNotFound)
	w.is(w.store.HoldJob(w.ctx, j.ID, 2, time.Hour), vpn.ErrNotFound)
	w.ok(w.store.SelectForJob(w.ctx, j.ID, 1, []int64{users[0].ID, users[1].ID}, users[1].ID))
	claimed, err = w.store.ClaimJob(w.ctx, 1, time.Hour)
	w.ok(err)
	is(w, "where it goes on", claimed.Filter.After, users[1].ID)
	w.ok(w.store.SelectForJob(w.ctx, j.ID, 1, []int64{users[1].ID, users[2].ID}, 0))
	j, err = w.store.Job(w.ctx, j.ID)
	w.ok(err)
	is(w, "selected", j.Selected, int64(3))
	is(w, "state", j.State, vpn.JobRunning)
	is(w, "filter forgotten", j.Filter, nil)

	// A change counts in its own transaction, once, and not for others.
	change := func(u vpn.User, job int64) error {
		return w.store.SetUserStatus(w.ctx, u.ID, vpn.UserBlocked, vpn.Audit{Action: "user.blocked", SubjectID: u.ID, JobID: job})
	}
	w.ok(change(users[0], j.ID))
	w.is(change(users[0], j.ID), vpn.ErrJobOver)
	w.is(change(users[1], j.ID+1), vpn.ErrJobOver)
	u, err := w.store.User(w.ctx, users[1].ID)
	w.ok(err)
	is(w, "undone", u.Status, vpn.UserActive)
	w.ok(w.store.RefuseInJob(w.ctx, j.ID, users[1].ID, vpn.CodeForbidden))
	w.ok(w.store.RefuseInJob(w.ctx, j.ID, users[1].ID, vpn.CodeNotFound))
	w.is(change(users[1], j.ID), vpn.ErrJobOver)
	left, err := w.store.JobAccounts(w.ctx, j.ID, 0, 10)
	w.ok(err)
	is(w, "left", len(left) == 1 && left[0] == users[2].ID, true)
	refused, err := w.store.JobRefusals(w.ctx, j.ID, 0, 10)
	w.ok(err)
	is(w, "refused", len(refused) == 1 && refused[0] == vpn.BulkOutcome{ID: users[1].ID, Code: vpn.CodeForbidden}, true)

	// When it is over nothing counts any more.
	w.ok(w.store.EndJob(w.ctx, j.ID, vpn.JobCancelled, "", by("bulk.cancel")))
	w.is(w.store.EndJob(w.ctx, j.ID, vpn.JobDone, "", by("bulk.end")), vpn.ErrNotFound)
	w.is(w.store.HoldJob(w.ctx, j.ID, 1, time.Hour), vpn.ErrNotFound)
	w.is(change(users[2], j.ID), vpn.ErrJobOver)
	j, err = w.store.Job(w.ctx, j.ID)
	w.ok(err)
	is(w, "done", j.Done, int64(1))
	is(w, "refused", j.Refused, int64(1))

	// What will not be done goes at once, the rest when it is old.
	prune := func(before time.Time) (all int64) {
		for {
			n, err := w.store.PruneJobs(w.ctx, before)
			w.ok(err)
			if all += n; n == 0 {
				return all
			}
		}
	}
	is(w, "pruned at once", prune(j.EndedAt.Add(-time.Hour)), int64(1))
	is(w, "pruned later", prune(j.EndedAt.Add(time.Hour)), int64(2))
	list, err := w.store.Jobs(w.ctx, 0, 10)
	w.ok(err)
	is(w, "jobs", len(list), 0)
}
