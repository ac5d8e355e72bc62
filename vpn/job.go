package vpn

import (
	"context"
	"errors"
	"time"
)

// Job is an action on many accounts that goes on by itself: through the end of the process that works on it, and on any
// that serves the same database.
type Job struct {
	ID int64
	// ActorID is who asked for it, in whose name it is done; 0 = the shell.
	ActorID int64
	// Bulk is what is done; its IDs are not kept.
	Bulk
	// Filter is what accounts are selected by; nil when they are all there.
	Filter *UserFilter
	State  JobState
	// Selected is how many accounts it is about, so far while it is selecting. Done and Refused are how many of them are over.
	Selected, Done, Refused int64
	// Error is why it failed.
	Error     Code
	CreatedAt time.Time
	EndedAt   time.Time // zero = not yet
}

// JobState is where a job stands.
type JobState string

// The states of a job.
const (
	JobSelecting JobState = "selecting"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobCancelled JobState = "cancelled"
	JobFailed    JobState = "failed"
)

// IsOver reports that nothing more will be done.
func (j *Job) IsOver() bool { return !j.EndedAt.IsZero() }

// Percent is how much of a job is over, 0 while accounts are selected.
func (j *Job) Percent() int {
	switch {
	case j.State == JobSelecting:
		return 0
	case j.State == JobDone || j.Selected == 0:
		return 100
	default:
		return int(min(100, (j.Done+j.Refused)*100/j.Selected))
	}
}

// StartJob begins an action on many accounts: those of in.IDs, at most MaxBulk, or those that a filter finds while the job
// selects. CodeForbidden, and CodeValidationFailed naming the field, as Bulk.
func (s *Service) StartJob(ctx context.Context, a *Actor, in Bulk, filter *UserFilter) (Job, error) {
	if _, err := s.bulkAction(ctx, a, &in); err != nil {
		return Job{}, err
	}
	j := Job{ActorID: a.User.ID, Bulk: in, State: JobRunning, Selected: int64(len(in.IDs))}
	switch {
	case filter != nil && len(in.IDs) > 0, filter == nil && (len(in.IDs) == 0 || len(in.IDs) > MaxBulk):
		return Job{}, invalid("ids", "in")
	case filter != nil:
		chosen := *filter
		chosen.After, chosen.Limit = 0, 0
		j.Filter, j.State = &chosen, JobSelecting
	}
	made, err := s.store.AddJob(ctx, j, in.IDs, a.audit("bulk."+string(in.Action), 0))
	if err == nil {
		s.wakeJobs()
	}
	return made, err
}

// Job returns one job. CodeNotFound.
func (s *Service) Job(ctx context.Context, a *Actor, id int64) (Job, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return Job{}, err
	}
	j, err := s.store.Job(ctx, id)
	return j, notFound(err)
}

// Jobs returns jobs older than before (an id, 0 = the newest), the newest first.
func (s *Service) Jobs(ctx context.Context, a *Actor, before int64, limit int) ([]Job, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return nil, err
	}
	return s.store.Jobs(ctx, before, limit)
}

// JobRefusals returns the accounts that a job could not do, with an id above after. CodeNotFound.
func (s *Service) JobRefusals(ctx context.Context, a *Actor, id, after int64, limit int) ([]BulkOutcome, error) {
	if _, err := s.Job(ctx, a, id); err != nil {
		return nil, err
	}
	return s.store.JobRefusals(ctx, id, after, limit)
}

// CancelJob ends a job: when it returns, nothing more is changed. What was done stays. CodeNotFound when there is no such
// job, CodeConflict when it is over.
func (s *Service) CancelJob(ctx context.Context, a *Actor, id int64) error {
	j, err := s.Job(ctx, a, id)
	if err != nil {
		return err
	}
	if err := a.may(j.noun(), Write); err != nil {
		return err
	}
	err = s.store.EndJob(ctx, id, JobCancelled, "", a.audit("bulk.cancel", id))
	if errors.Is(err, ErrNotFound) {
		return &Error{Code: CodeConflict, Field: "state", Rule: "in"}
	}
	return err
}

const (
	// jobLease is how long a job waits for the process that held it and died.
	jobLease = 10 * time.Second
	// jobPage is how many accounts are looked at between two looks at the job itself.
	jobPage = 500
	// jobWorkers is how many accounts are worked on at once: few, so that others' writes share the commits.
	jobWorkers = 8
	// keepJobs is how long one can see what became of a job.
	keepJobs = 30 * day
)

// wakeJobs makes RunJobs of this process look at once.
func (s *Service) wakeJobs() {
	select {
	case s.jobs <- struct{}{}:
	default:
	}
}

// RunJobs works on jobs until ctx ends, one at a time, and looks for new ones every so often. Each process has one; holder is a
// number of its own.
func (s *Service) RunJobs(ctx context.Context, holder int64, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var prunedAt time.Time
	for {
		err := s.WorkOff(ctx, holder)
		if now := s.now(); now.Sub(prunedAt) >= time.Minute {
			prunedAt = now
			err = errors.Join(err, s.pruneJobs(ctx))
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "a job on many accounts does not go on", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.jobs:
		}
	}
}

// WorkOff works on jobs until none is left that this holder can have.
func (s *Service) WorkOff(ctx context.Context, holder int64) error {
	for {
		j, err := s.store.ClaimJob(ctx, holder, jobLease)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err == nil {
			err = s.work(ctx, &j, holder)
		}
		if err != nil {
			return err
		}
	}
}

func (s *Service) pruneJobs(ctx context.Context) error {
	for {
		n, err := s.store.PruneJobs(ctx, s.now().Add(-keepJobs))
		if err != nil || n == 0 {
			return err
		}
	}
}

// work does a job to its end, or until another ends it or takes it.
func (s *Service) work(ctx context.Context, j *Job, holder int64) error {
	err := s.selectFor(ctx, j, holder)
	for after := int64(0); err == nil; {
		var do func(context.Context, int64) error
		if do, err = s.jobAction(ctx, j); err != nil {
			break
		}
		var ids []int64
		if ids, err = s.store.JobAccounts(ctx, j.ID, after, jobPage); err != nil {
			break
		}
		if len(ids) == 0 {
			err = s.store.EndJob(ctx, j.ID, JobDone, "", Audit{ActorID: j.ActorID, Action: "bulk.end", SubjectID: j.ID})
			break
		}
		if err = inParallel(ctx, jobWorkers, ids, func(ctx context.Context, id int64) error { return s.workOn(ctx, j, id, do) }); err != nil {
			break
		}
		after = ids[len(ids)-1]
		err = s.store.HoldJob(ctx, j.ID, holder, jobLease)
	}
	switch code := CodeOf(err); {
	case errors.Is(err, ErrNotFound): // it ended, or another has it
		return nil
	case code != "":
		err = s.store.EndJob(ctx, j.ID, JobFailed, code, Audit{ActorID: j.ActorID, Action: "bulk.fail", SubjectID: j.ID})
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	return err
}

// selectFor completes the accounts of a job.
func (s *Service) selectFor(ctx context.Context, j *Job, holder int64) error {
	for f := j.Filter; f != nil; {
		f.Limit = MaxBulk
		page, err := s.store.Users(ctx, *f)
		if err != nil {
			return err
		}
		ids := make([]int64, len(page.Users))
		for i := range page.Users {
			ids[i] = page.Users[i].ID
		}
		if err := s.store.SelectForJob(ctx, j.ID, holder, ids, page.Next); err != nil {
			return err
		}
		if f.After = page.Next; page.Next == 0 {
			return nil
		}
		if err := s.store.HoldJob(ctx, j.ID, holder, jobLease); err != nil {
			return err
		}
	}
	return nil
}

// jobAction returns what a job does to one account, if whoever asked for it still may.
func (s *Service) jobAction(ctx context.Context, j *Job) (func(ctx context.Context, id int64) error, error) {
	a := Shell()
	if j.ActorID != 0 {
		u, err := s.store.User(ctx, j.ActorID)
		if errors.Is(err, ErrNotFound) {
			return nil, Refusal(CodeForbidden)
		}
		if err != nil {
			return nil, err
		}
		a = &Actor{User: u}
	}
	a.jobID = j.ID
	return s.bulkAction(ctx, a, &j.Bulk)
}

// workOn does a job's action to one account and notes a refusal.
func (s *Service) workOn(ctx context.Context, j *Job, id int64, do func(context.Context, int64) error) error {
	err := do(ctx, id)
	if errors.Is(err, ErrJobOver) {
		return nil
	}
	if code := CodeOf(err); code != "" {
		return s.store.RefuseInJob(ctx, j.ID, id, code)
	}
	return err
}
