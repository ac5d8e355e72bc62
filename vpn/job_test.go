package vpn_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/vpn"
)

// crowd adds users with a subscription that ends in ten days, and returns their ids.
func (b *bench) crowd(n int) []int64 {
	b.t.Helper()
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = b.addUser("crowd" + number(int64(i)) + "@example.com").ID
		if err := b.SetExpiry(b.t.Context(), shell, ids[i], b.now.AddDate(0, 0, 10)); err != nil {
			b.t.Fatal(err)
		}
	}
	return ids
}

func (b *bench) job(id int64) *vpn.Job {
	b.t.Helper()
	j, err := b.Job(b.t.Context(), shell, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return &j
}

// A job extends each account once, whatever ends the processes that work on it, and however many do.
func TestJobDoesEachAccountOnce(t *testing.T) {
	for name, dsn := range map[string]func() string{
		"SQLite": func() string { return filepath.Join(t.TempDir(), "stile.db") }, "PostgreSQL": func() string { return storetest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			b := setupOn(t, dsn())
			ctx := t.Context()
			ids := b.crowd(120)
			lonely, err := b.AddUser(ctx, shell, vpn.NewAccount{Email: "crowd-lonely@example.com", Password: "password123"})
			if err != nil {
				t.Fatal(err)
			}
			j, err := b.StartJob(ctx, shell, vpn.Bulk{Action: vpn.BulkExtend, Days: 5}, &vpn.UserFilter{Search: "crowd"})
			if err != nil || j.State != vpn.JobSelecting || j.Selected != 0 || j.Percent() != 0 {
				t.Fatalf("%+v, %v", j, err)
			}
			// Processes that die in the middle: their context ends after some changes, and the lease with them.
			for holder := int64(1); holder < 4; holder++ {
				dying, die := context.WithCancel(ctx)
				s := vpn.NewService(&mortal{Store: b.store, left: 20, die: die}, b.nodes, plainPasswords{}, vpn.Config{Now: b.clock})
				if err := s.WorkOff(dying, holder); err == nil || dying.Err() == nil {
					t.Fatalf("it was to die: %v", err)
				}
				if err := b.WorkOff(ctx, 99); err != nil || b.job(j.ID).IsOver() {
					t.Fatalf("%v: somebody else has it", err)
				}
				b.pass(time.Minute)
			}
			if j := b.job(j.ID); j.State != vpn.JobRunning || j.Selected != 121 || j.Done < 40 || j.Done > 70 || j.Filter != nil {
				t.Fatalf("in between: %+v", j)
			}
			// Now several at once, of whom each believes that it has the job.
			var all sync.WaitGroup
			for range 3 {
				all.Go(func() {
					if err := b.WorkOff(ctx, 7); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			j = *b.job(j.ID)
			if j.State != vpn.JobDone || j.Done != 120 || j.Refused != 1 || j.Percent() != 100 || !j.IsOver() {
				t.Errorf("at the end: %+v", j)
			}
			for _, id := range ids {
				_, e, err := b.store.Standing(ctx, id)
				if want := b.now.Add(-3*time.Minute).AddDate(0, 0, 15); err != nil || !e.Subscription.ExpiresAt.Equal(want) {
					t.Fatalf("user %d ends %v, want %v (%v)", id, e.Subscription.ExpiresAt, want, err)
				}
			}
			refused, err := b.JobRefusals(ctx, shell, j.ID, 0, 10)
			if err != nil || len(refused) != 1 || refused[0] != (vpn.BulkOutcome{ID: lonely.ID, Code: vpn.CodeSubscriptionRequired}) {
				t.Errorf("refused: %+v, %v", refused, err)
			}
			log, err := b.AuditLog(ctx, shell, 0, 1000)
			counts := map[string]int{}
			for i := range log {
				counts[log[i].Action]++
			}
			if err != nil || counts["subscription.extend"] != 120 || counts["bulk.extend"] != 1 || counts["bulk.end"] != 1 {
				t.Errorf("the log has %v, %v", counts, err)
			}
		})
	}
}

// mortal is a store whose process dies after so many changes of subscriptions.
type mortal struct {
	vpn.Store
	mu   sync.Mutex
	left int
	die  func()
}

func (m *mortal) ChangeSubscription(ctx context.Context, userID int64, rule vpn.SubscriptionRule, a vpn.Audit) (vpn.Subscription, error) {
	m.mu.Lock()
	m.left--
	if m.left < 0 {
		m.die()
	}
	m.mu.Unlock()
	return m.Store.ChangeSubscription(ctx, userID, rule, a)
}

func TestJobIsCancelled(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	ids := b.crowd(30)
	j, err := b.StartJob(ctx, shell, vpn.Bulk{Action: vpn.BulkBlock, IDs: append(ids, ids[0], 9999)}, nil)
	if err != nil || j.State != vpn.JobRunning || j.Selected != 31 {
		t.Fatalf("%+v, %v", j, err)
	}
	dying, die := context.WithCancel(ctx)
	die()
	if err := b.WorkOff(dying, 1); err == nil {
		t.Error("it was to do nothing")
	}
	viewer := &vpn.Actor{User: vpn.User{ID: 1000, Role: vpn.RoleViewer, Status: vpn.UserActive}}
	b.refused(b.CancelJob(ctx, viewer, j.ID), vpn.CodeForbidden)
	b.refused(b.CancelJob(ctx, shell, 77), vpn.CodeNotFound)
	if err := b.CancelJob(ctx, shell, j.ID); err != nil {
		t.Fatal(err)
	}
	b.refused(b.CancelJob(ctx, shell, j.ID), vpn.CodeConflict)
	// A change that was under way when the job was cancelled is undone.
	err = b.store.SetUserStatus(ctx, ids[0], vpn.UserBlocked, vpn.Audit{Action: "user.blocked", SubjectID: ids[0], JobID: j.ID})
	if u, _ := b.store.User(ctx, ids[0]); err != vpn.ErrJobOver || u.Status != vpn.UserActive {
		t.Errorf("%v, %+v", err, u)
	}
	if err := b.WorkOff(ctx, 1); err != nil || b.job(j.ID).State != vpn.JobCancelled || b.job(j.ID).Done != 0 {
		t.Errorf("%v, %+v", err, b.job(j.ID))
	}
	for b.pass(31 * 24 * time.Hour); ; {
		n, err := b.store.PruneJobs(ctx, b.now.AddDate(0, 0, -30))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	_, err = b.Job(ctx, shell, j.ID)
	b.refused(err, vpn.CodeNotFound)
}

func TestJobIsDoneInSomebodysName(t *testing.T) {
	b := setup(t)
	ctx := t.Context()
	ids := b.crowd(3)
	owner := &vpn.Actor{User: b.addUser("owner@example.com")}
	admin := &vpn.Actor{User: b.addUser("admin@example.com")}
	for id, role := range map[int64]vpn.Role{owner.User.ID: vpn.RoleOwner, admin.User.ID: vpn.RoleAdmin} {
		if err := b.SetRole(ctx, shell, id, role); err != nil {
			t.Fatal(err)
		}
	}
	admin.User.Role, owner.User.Role = vpn.RoleAdmin, vpn.RoleOwner
	support := &vpn.Actor{User: vpn.User{ID: 1000, Role: vpn.RoleSupport, Status: vpn.UserActive}}
	for _, action := range []vpn.BulkAction{vpn.BulkBlock, vpn.BulkUnblock, vpn.BulkExtend, vpn.BulkPlan, vpn.BulkSignOut} {
		_, err := b.StartJob(ctx, support, vpn.Bulk{Action: action, IDs: ids, Days: 1, Plan: "standard", Periods: 1}, nil)
		b.refused(err, vpn.CodeForbidden)
	}
	for _, in := range []vpn.Bulk{
		{Action: "erase", IDs: ids}, {Action: vpn.BulkBlock}, {Action: vpn.BulkBlock, IDs: make([]int64, vpn.MaxBulk+1)}, {Action: vpn.BulkExtend, IDs: ids},
		{Action: vpn.BulkPlan, IDs: ids, Plan: "none", Periods: 1},
	} {
		_, err := b.StartJob(ctx, shell, in, nil)
		b.refused(err, vpn.CodeValidationFailed)
	}
	// An admin blocks everybody: not the owner, and not themselves.
	_, phone := b.signIn("crowd0@example.com", "phone")
	j, err := b.StartJob(ctx, admin, vpn.Bulk{Action: vpn.BulkSignOut}, &vpn.UserFilter{})
	if err == nil {
		err = b.WorkOff(ctx, 1)
	}
	if j = *b.job(j.ID); err != nil || j.State != vpn.JobDone || j.Refused != 2 || j.Done != 4 {
		t.Errorf("%+v, %v", j, err)
	}
	b.pass(2 * time.Second)
	_, err = b.Authenticate(ctx, phone.Token)
	b.refused(err, vpn.CodeUnauthenticated)
	// Who loses the right meanwhile has nothing more done in their name.
	j, err = b.StartJob(ctx, admin, vpn.Bulk{Action: vpn.BulkPlan, Plan: "standard", Periods: 1, IDs: ids}, nil)
	if err == nil {
		err = b.SetRole(ctx, shell, admin.User.ID, vpn.RoleViewer)
	}
	if err == nil {
		err = b.WorkOff(ctx, 1)
	}
	if j = *b.job(j.ID); err != nil || j.State != vpn.JobFailed || j.Error != vpn.CodeForbidden || j.Done != 0 {
		t.Errorf("%+v, %v", j, err)
	}
	if jobs, err := b.Jobs(ctx, shell, 0, 10); err != nil || len(jobs) != 2 || jobs[0].ID != j.ID {
		t.Errorf("%+v, %v", jobs, err)
	}
}
