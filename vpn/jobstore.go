package vpn

import (
	"context"
	"errors"
	"time"
)

// ErrJobOver is returned by changes that are part of a job (Audit.JobID) which does not ask for them any more: the job was
// cancelled, or another process has made this very change. Nothing was changed.
var ErrJobOver = errors.New("the job does not ask for this")

// JobStore keeps actions on many accounts. Each change that is audited with a JobID counts as done for the subject of its
// entry, in its own transaction.
type JobStore interface {
	// AddJob makes a job for the accounts named; the others of its filter, if it has one, follow by SelectForJob.
	AddJob(ctx context.Context, j Job, ids []int64, a Audit) (Job, error)
	// Job returns a job, or ErrNotFound.
	Job(ctx context.Context, id int64) (Job, error)
	// Jobs returns jobs with an id below before (0 = the newest), the newest first, at most limit.
	Jobs(ctx context.Context, before int64, limit int) ([]Job, error)
	// JobRefusals returns accounts that were refused, with an id above after, in the order of their ids, at most limit.
	JobRefusals(ctx context.Context, jobID, after int64, limit int) ([]BulkOutcome, error)
	// ClaimJob gives the oldest job that goes on and that nobody else holds to a holder for a lease. ErrNotFound.
	ClaimJob(ctx context.Context, holder int64, lease time.Duration) (Job, error)
	// HoldJob prolongs the lease. ErrNotFound when the job has ended or another holds it.
	HoldJob(ctx context.Context, jobID, holder int64, lease time.Duration) error
	// SelectForJob adds accounts, at most 1,000, and notes where the selection goes on; 0 = it is complete. ErrNotFound as above.
	SelectForJob(ctx context.Context, jobID, holder int64, ids []int64, after int64) error
	// JobAccounts returns accounts that are to be worked on, with an id above after, in the order of their ids, at most limit.
	JobAccounts(ctx context.Context, jobID, after int64, limit int) ([]int64, error)
	// RefuseInJob notes that an account was refused. It changes nothing when that is known.
	RefuseInJob(ctx context.Context, jobID, userID int64, code Code) error
	// EndJob ends a job that goes on, with a code if it failed. ErrNotFound when it has ended.
	EndJob(ctx context.Context, jobID int64, state JobState, why Code, a Audit) error
	// PruneJobs deletes what is left of jobs that will not go on, and those that ended before an instant, some thousands of rows
	// at a time; it returns how many.
	PruneJobs(ctx context.Context, endedBefore time.Time) (int64, error)
}
