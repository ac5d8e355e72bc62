package vpn

import (
	"context"
	"sync"
	"sync/atomic"
)

// BulkAction is what is done to many accounts.
type BulkAction string

// The actions.
const (
	BulkBlock   BulkAction = "block"
	BulkUnblock BulkAction = "unblock"
	BulkExtend  BulkAction = "extend" // by Days
	BulkPlan    BulkAction = "plan"   // Periods of Plan
	BulkSignOut BulkAction = "sign_out"
)

// MaxBulk is how many accounts one call may name.
const MaxBulk = 1000

// bulkWorkers is how many accounts are worked on at once: they share commits.
const bulkWorkers = 16

// Bulk is an action on many accounts.
type Bulk struct {
	Action  BulkAction
	IDs     []int64
	Days    int
	Plan    string
	Periods int
}

// BulkOutcome is what became of one account: done, or refused with a code.
type BulkOutcome struct {
	ID   int64
	Code Code
}

// Bulk does the same to many accounts, each in a transaction of its own, and answers for each in the order asked, once for
// one that is named twice. It ends early, with an error, only for what concerns all: no permission, no such plan, a database
// that takes no changes, a caller who hung up. What was done then stays done, and doing it again is safe but for BulkExtend
// and BulkPlan.
func (s *Service) Bulk(ctx context.Context, a *Actor, in Bulk) ([]BulkOutcome, error) {
	do, err := s.bulkAction(ctx, a, &in)
	if err != nil {
		return nil, err
	}
	if len(in.IDs) == 0 || len(in.IDs) > MaxBulk {
		return nil, invalid("ids", "in")
	}
	outcomes := make([]BulkOutcome, 0, len(in.IDs))
	seen := make(map[int64]bool, len(in.IDs))
	for _, id := range in.IDs {
		if !seen[id] {
			seen[id] = true
			outcomes = append(outcomes, BulkOutcome{ID: id})
		}
	}
	err = inParallel(ctx, bulkWorkers, outcomePointers(outcomes), func(ctx context.Context, o *BulkOutcome) error {
		err := do(ctx, o.ID)
		if o.Code = CodeOf(err); o.Code != "" {
			return nil
		}
		return err
	})
	return outcomes, err
}

func outcomePointers(outcomes []BulkOutcome) []*BulkOutcome {
	all := make([]*BulkOutcome, len(outcomes))
	for i := range outcomes {
		all[i] = &outcomes[i]
	}
	return all
}

// inParallel does the same to all, so many at once, and ends early at the first error.
func inParallel[T any](ctx context.Context, workers int, all []T, do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(all)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := do(ctx, all[i]); err != nil {
					stop(err)
				}
			}
		})
	}
	done.Wait()
	return context.Cause(ctx)
}

// others is an action that would shut out who asks for it: it leaves them alone.
func others(a *Actor, do func(context.Context, int64) error) func(context.Context, int64) error {
	return func(ctx context.Context, id int64) error {
		if id == a.User.ID {
			return Refusal(CodeForbidden)
		}
		return do(ctx, id)
	}
}

// noun is what a permission for the action is about.
func (b *Bulk) noun() Noun {
	switch b.Action {
	case BulkExtend, BulkPlan:
		return NounSubscriptions
	case BulkSignOut:
		return NounDevices
	default:
		return NounUsers
	}
}

// CheckBulk refuses what Bulk and StartJob would refuse of an action, whatever accounts it is about.
func (s *Service) CheckBulk(ctx context.Context, a *Actor, in Bulk) error {
	_, err := s.bulkAction(ctx, a, &in)
	return err
}

// bulkAction returns what is done to one account, once it is known that it may be done at all.
func (s *Service) bulkAction(ctx context.Context, a *Actor, in *Bulk) (func(ctx context.Context, id int64) error, error) {
	if err := a.may(NounUsers, Write); err != nil { // support helps one at a time
		return nil, err
	}
	if err := a.may(in.noun(), Write); err != nil {
		return nil, err
	}
	switch in.Action {
	case BulkBlock:
		return others(a, func(ctx context.Context, id int64) error { return s.SetUserStatus(ctx, a, id, UserBlocked) }), nil
	case BulkUnblock:
		return func(ctx context.Context, id int64) error { return s.SetUserStatus(ctx, a, id, UserActive) }, nil
	case BulkExtend:
		if in.Days < 1 || in.Days > maxDays {
			return nil, invalid("days", "in")
		}
		return func(ctx context.Context, id int64) error { _, err := s.Extend(ctx, a, id, in.Days); return err }, nil
	case BulkPlan:
		if _, err := s.planFor(ctx, in.Plan, in.Periods); err != nil {
			return nil, err
		}
		return func(ctx context.Context, id int64) error {
			_, err := s.Subscribe(ctx, a, id, in.Plan, in.Periods)
			return err
		}, nil
	case BulkSignOut:
		return others(a, func(ctx context.Context, id int64) error { return s.SignOutUser(ctx, a, id) }), nil
	default:
		return nil, invalid("action", "in")
	}
}
