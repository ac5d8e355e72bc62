package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"stile/vpn"
)

const jobColumns = `
	id, actor_id, action, days, plan, periods, state, filter, after, selected, done, refused, error, created_at, ended_at`

func scanJob(row scanner) (j vpn.Job, err error) {
	var filter string
	var after int64
	err = row.Scan(&j.ID, &j.ActorID, &j.Action, &j.Days, &j.Plan, &j.Periods, &j.State, &filter, &after, &j.Selected, &j.Done, &j.Refused,
		&j.Error, instant{&j.CreatedAt}, instant{&j.EndedAt})
	switch {
	case isNone(err):
		return j, vpn.ErrNotFound
	case err != nil || filter == "":
		return j, err
	}
	j.Filter = &vpn.UserFilter{}
	if err := json.Unmarshal([]byte(filter), j.Filter); err != nil {
		return j, fmt.Errorf("filter of job %d: %w", j.ID, err)
	}
	j.Filter.After = after
	return j, nil
}

// AddJob implements vpn.JobStore.
func (s *Store) AddJob(ctx context.Context, j vpn.Job, ids []int64, a vpn.Audit) (made vpn.Job, err error) {
	filter := ""
	if j.Filter != nil {
		text, err := json.Marshal(j.Filter)
		if err != nil {
			return vpn.Job{}, err
		}
		filter = string(text)
	}
	err = s.write(ctx, "add job", func(t *tx) error {
		made, err = scanJob(t.row(`
			INSERT INTO bulk_job (actor_id, action, days, plan, periods, state, filter, after, selected, done, refused, error, holder, held_until, created_at, ended_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, '', 0, 0, $8, 0)
			RETURNING`+jobColumns,
			j.ActorID, string(j.Action), j.Days, j.Plan, j.Periods, string(j.State), filter, millis(t.now)))
		if err != nil {
			return err
		}
		if made.Selected, err = t.addItems(made.ID, ids); err != nil {
			return err
		}
		return t.audit(a, made.ID)
	})
	return made, err
}

var addItems = batch{0, `
	INSERT INTO bulk_item (job_id, user_id, code)
	VALUES `, "(CAST(? AS BIGINT), CAST(? AS BIGINT), '')", `
	ON CONFLICT (job_id, user_id) DO NOTHING`}

// addItems adds accounts to a job, each once, and returns how many are selected now.
func (t *tx) addItems(jobID int64, ids []int64) (selected int64, err error) {
	var n int64
	for rest := ids; len(rest) > 0; {
		rows := min(len(rest), maxExact)
		args := make([]any, 0, 2*rows)
		for _, id := range rest[:rows] {
			args = append(args, jobID, id)
		}
		added, err := t.exec(t.writer.batchText(&addItems, rows), args...)
		if err != nil {
			return 0, err
		}
		n, rest = n+added, rest[rows:]
	}
	err = one(t.row(`
		UPDATE bulk_job
		SET selected = selected + $2
		WHERE id = $1
		RETURNING selected`, jobID, n), &selected)
	return selected, err
}

// Job implements vpn.JobStore.
func (s *Store) Job(ctx context.Context, id int64) (vpn.Job, error) {
	return scanJob(s.read(ctx).row(`
		SELECT`+jobColumns+`
		FROM bulk_job
		WHERE id = $1`, id))
}

// Jobs implements vpn.JobStore.
func (s *Store) Jobs(ctx context.Context, before int64, limit int) ([]vpn.Job, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.read(ctx).rows(`
		SELECT`+jobColumns+`
		FROM bulk_job
		WHERE id < $1
		ORDER BY id DESC
		LIMIT $2`, before, limit)
	return list(rows, err, scanJob)
}

// JobRefusals implements vpn.JobStore.
func (s *Store) JobRefusals(ctx context.Context, jobID, after int64, limit int) ([]vpn.BulkOutcome, error) {
	rows, err := s.read(ctx).rows(`
		SELECT user_id, code
		FROM bulk_item
		WHERE job_id = $1
			AND user_id > $2
			AND code <> ''
		ORDER BY user_id
		LIMIT $3`, jobID, after, limit)
	return list(rows, err, func(row scanner) (o vpn.BulkOutcome, err error) {
		err = row.Scan(&o.ID, &o.Code)
		return o, err
	})
}

// ClaimJob implements vpn.JobStore.
func (s *Store) ClaimJob(ctx context.Context, holder int64, lease time.Duration) (j vpn.Job, err error) {
	now := millis(s.now())
	rows, err := s.read(ctx).rows(`
		SELECT id
		FROM bulk_job
		WHERE ended_at = 0
			AND (held_until <= $1 OR holder = $2)
		ORDER BY id
		LIMIT 1`, now, holder)
	if open, err := list(rows, err, scanID); err != nil || len(open) == 0 {
		if err == nil {
			err = vpn.ErrNotFound // nothing is written for nothing
		}
		return j, err
	}
	err = s.write(ctx, "claim job", func(t *tx) error {
		j, err = scanJob(t.row(`
			UPDATE bulk_job
			SET holder = $2, held_until = $3
			WHERE id = (
				SELECT id
				FROM bulk_job
				WHERE ended_at = 0
					AND (held_until <= $1 OR holder = $2)
				ORDER BY id
				LIMIT 1
				{{skip}}
			)
			RETURNING`+jobColumns, millis(t.now), holder, millis(t.now.Add(lease))))
		return err
	})
	return j, err
}

// HoldJob implements vpn.JobStore.
func (s *Store) HoldJob(ctx context.Context, jobID, holder int64, lease time.Duration) error {
	return s.write(ctx, "hold job", func(t *tx) error {
		return t.change(`
			UPDATE bulk_job
			SET held_until = $3
			WHERE id = $1
				AND holder = $2
				AND ended_at = 0`, jobID, holder, millis(t.now.Add(lease)))
	})
}

// SelectForJob implements vpn.JobStore. What accounts were selected by may name somebody: it is forgotten at the end.
func (s *Store) SelectForJob(ctx context.Context, jobID, holder int64, ids []int64, after int64) error {
	return s.write(ctx, "select for job", func(t *tx) error {
		state, filter := "state", "filter"
		if after == 0 {
			state, filter = "'running'", "''"
		}
		if err := t.change(`
			UPDATE bulk_job
			SET after = $3, state = `+state+`, filter = `+filter+`
			WHERE id = $1
				AND holder = $2
				AND ended_at = 0`, jobID, holder, after); err != nil {
			return err
		}
		_, err := t.addItems(jobID, ids)
		return err
	})
}

// JobAccounts implements vpn.JobStore.
func (s *Store) JobAccounts(ctx context.Context, jobID, after int64, limit int) ([]int64, error) {
	rows, err := s.read(ctx).rows(`
		SELECT user_id
		FROM bulk_item
		WHERE job_id = $1
			AND user_id > $2
			AND code = ''
		ORDER BY user_id
		LIMIT $3`, jobID, after, limit)
	return list(rows, err, scanID)
}

// doneForJob counts an account as done, in the transaction of what was done to it; vpn.ErrJobOver undoes that.
func (t *tx) doneForJob(jobID, userID int64) error {
	for _, text := range []string{`
		UPDATE bulk_job
		SET done = done + 1
		WHERE id = $1
			AND ended_at = 0
			AND EXISTS (SELECT 1 FROM bulk_item WHERE job_id = $1 AND user_id = $2 AND code = '')`, `
		DELETE FROM bulk_item
		WHERE job_id = $1
			AND user_id = $2
			AND code = ''`,
	} {
		n, err := t.exec(text, jobID, userID)
		if err == nil && n == 0 {
			err = vpn.ErrJobOver
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// RefuseInJob implements vpn.JobStore.
func (s *Store) RefuseInJob(ctx context.Context, jobID, userID int64, code vpn.Code) error {
	return s.write(ctx, "refuse in job", func(t *tx) error {
		n, err := t.exec(`
			UPDATE bulk_item
			SET code = $3
			WHERE job_id = $1
				AND user_id = $2
				AND code = ''`, jobID, userID, string(code))
		if err != nil || n == 0 {
			return err
		}
		_, err = t.exec(`
			UPDATE bulk_job
			SET refused = refused + 1
			WHERE id = $1`, jobID)
		return err
	})
}

// EndJob implements vpn.JobStore.
func (s *Store) EndJob(ctx context.Context, jobID int64, state vpn.JobState, why vpn.Code, a vpn.Audit) error {
	return s.write(ctx, "end job", func(t *tx) error {
		if err := t.change(`
			UPDATE bulk_job
			SET state = $2, error = $3, ended_at = $4, filter = '', holder = 0, held_until = 0
			WHERE id = $1
				AND ended_at = 0`, jobID, string(state), string(why), millis(t.now)); err != nil {
			return err
		}
		return t.audit(a, jobID)
	})
}

// PruneJobs implements vpn.JobStore.
func (s *Store) PruneJobs(ctx context.Context, endedBefore time.Time) (n int64, err error) {
	rows, err := s.read(ctx).rows(`
		SELECT id
		FROM bulk_job j
		WHERE ended_at > 0
			AND (ended_at < $1 OR EXISTS (SELECT 1 FROM bulk_item i WHERE i.job_id = j.id AND i.code = ''))
		ORDER BY id
		LIMIT 1`, millis(endedBefore))
	jobs, err := list(rows, err, scanID)
	if err != nil || len(jobs) == 0 {
		return 0, err
	}
	err = s.write(ctx, "prune jobs", func(t *tx) error {
		n, err = t.exec(`
			DELETE FROM bulk_item
			WHERE job_id = $1
				AND user_id IN (
					SELECT i.user_id
					FROM bulk_item i
					JOIN bulk_job j ON j.id = i.job_id
					WHERE i.job_id = $1
						AND (i.code = '' OR j.ended_at < $2)
					ORDER BY i.user_id
					LIMIT $3
				)`, jobs[0], millis(endedBefore), maxPruned)
		if err != nil || n > 0 {
			return err
		}
		n, err = t.exec(`
			DELETE FROM bulk_job
			WHERE id = $1
				AND ended_at > 0
				AND ended_at < $2`, jobs[0], millis(endedBefore))
		return err
	})
	return n, err
}
