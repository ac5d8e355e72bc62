package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stile/vpn"
)

// JobCmd is `stile job`.
type JobCmd struct {
	Start    JobStartCmd    `cmd:"" help:"Begin an action on many accounts, which the running service carries out."`
	List     JobListCmd     `cmd:"" help:"List such actions, the newest first; kept for 30 days."`
	Show     JobShowCmd     `cmd:"" help:"Show how far one is, and wait for its end."`
	Refusals JobRefusalsCmd `cmd:"" help:"List the accounts that it could not do, and why."`
	Cancel   JobCancelCmd   `cmd:"" help:"End it: nothing more is changed, what was done stays."`
}

// JobStartCmd is `stile job start`.
type JobStartCmd struct {
	databaseFlags
	Action string   `arg:"" enum:"block,unblock,sign-out,extend,plan" help:"block, unblock, sign-out, extend (by --days) or plan (gives --periods of --plan)."`
	Emails []string `arg:"" optional:"" name:"email" help:"The accounts, at most 1000; or choose them by the flags below."`

	Days    int    `range:"1..36500" placeholder:"N" help:"How many days to extend by."`
	Plan    string `placeholder:"CODE" help:"Which plan to give."`
	Periods *int   `range:"1..1200" placeholder:"N" help:"How many periods of it; one by default."`

	All           bool   `help:"All accounts, or those of them that the following flags leave."`
	Search        string `help:"Part of the e-mail or the name."`
	Status        string `enum:"active,blocked," default:"" help:"active or blocked."`
	PlanIs        string `placeholder:"CODE" help:"Those who are subscribed to this plan."`
	ExpiresAfter  string `placeholder:"WHEN" help:"Those whose subscription ends at this instant or later: now, 2026-12-31 or 2026-12-31T18:00:00Z."`
	ExpiresBefore string `placeholder:"WHEN" help:"Those whose subscription ends before it."`

	Wait bool `help:"Wait for its end."`
	JSON bool `name:"json" help:"Print JSON."`
}

// Run begins the job.
func (c *JobStartCmd) Run(ctx context.Context, t *Terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.use(ctx, func(s *vpn.Service) error {
		bulk := vpn.Bulk{Action: vpn.BulkAction(strings.ReplaceAll(c.Action, "-", "_")), Days: c.Days, Plan: c.Plan, Periods: 1}
		setFrom(&bulk.Periods, c.Periods)
		for _, email := range c.Emails {
			u, err := s.FindUser(ctx, shell, email)
			if err != nil {
				return unfound(err, "user "+email, "user list")
			}
			bulk.IDs = append(bulk.IDs, u.ID)
		}
		filter, err := c.filter(ctx, s)
		if err != nil {
			return err
		}
		j, err := s.StartJob(ctx, shell, bulk, filter)
		if err != nil {
			return err
		}
		if c.Wait {
			return awaitJob(ctx, t, s, j.ID, c.JSON)
		}
		return t.printJob(&j, c.JSON)
	})
}

// check names what is missing, and what would do nothing.
func (c *JobStartCmd) check() error {
	switch {
	case len(c.Emails) == 0 && !c.All:
		return errors.New("name the accounts, or choose them with --all and, to leave some out, --search, --status, --plan-is, --expires-after or --expires-before")
	case len(c.Emails) > 0 && c.All:
		return errors.New("--all: name the accounts or choose them, not both")
	case len(c.Emails) > 0 && c.Search+c.Status+c.PlanIs+c.ExpiresAfter+c.ExpiresBefore != "":
		return errors.New("--search, --status, --plan-is, --expires-after and --expires-before choose among --all; accounts are named without them")
	case c.Action == "extend" && c.Days == 0:
		return errors.New("--days: say how many days to extend by")
	case c.Action == "plan" && c.Plan == "":
		return errors.New("--plan: say which plan to give; `stile plan list` shows them")
	case c.Action != "extend" && c.Days != 0:
		return fmt.Errorf("--days is for extend: %s takes none", c.Action)
	case c.Action != "plan" && (c.Plan != "" || c.Periods != nil):
		return fmt.Errorf("--plan and --periods are for plan: %s takes none; --plan-is chooses who has one", c.Action)
	}
	return nil
}

// filter is what the flags choose; nil when the accounts are named.
func (c *JobStartCmd) filter(ctx context.Context, s *vpn.Service) (*vpn.UserFilter, error) {
	if !c.All {
		return nil, nil //nolint:nilnil // StartJob takes it so
	}
	f := &vpn.UserFilter{Search: c.Search, Status: vpn.UserStatus(c.Status)}
	if c.PlanIs != "" {
		plans, err := s.Plans(ctx, shell)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(plans, func(p vpn.Plan) bool { return p.Code == c.PlanIs })
		if at < 0 {
			return nil, fmt.Errorf("--plan-is: no plan %q; `stile plan list` shows them", c.PlanIs)
		}
		f.PlanID = plans[at].ID
	}
	for _, bound := range []struct {
		flag, text string
		at         *time.Time
	}{{"--expires-after", c.ExpiresAfter, &f.ExpiresAfter}, {"--expires-before", c.ExpiresBefore, &f.ExpiresBefore}} {
		if bound.text == "" {
			continue
		}
		var err error
		if *bound.at, err = parseInstant(bound.text); err != nil {
			return nil, fmt.Errorf("%s: %w", bound.flag, err)
		}
	}
	if !f.ExpiresBefore.IsZero() && !f.ExpiresAfter.Before(f.ExpiresBefore) {
		return nil, errors.New("--expires-before: want an instant after --expires-after; no subscription ends between them")
	}
	return f, nil
}

// jobRow is a job, as JSON.
type jobRow struct {
	ID        int64      `json:"id"`
	Action    string     `json:"action"`
	Days      int        `json:"days,omitempty"`
	Plan      string     `json:"plan,omitempty"`
	Periods   int        `json:"periods,omitempty"`
	State     string     `json:"state"` // selecting, running, done, cancelled or failed
	Selected  int64      `json:"selected"`
	Done      int64      `json:"done"`
	Refused   int64      `json:"refused"`
	Percent   int        `json:"percent"`
	Error     string     `json:"error,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

func jobRowOf(j *vpn.Job) jobRow {
	row := jobRow{
		ID: j.ID, Action: string(j.Action), State: string(j.State), Selected: j.Selected, Done: j.Done, Refused: j.Refused,
		Percent: j.Percent(), Error: string(j.Error), CreatedAt: j.CreatedAt,
	}
	if j.Action == vpn.BulkExtend {
		row.Days = j.Days
	}
	if j.Action == vpn.BulkPlan {
		row.Plan, row.Periods = j.Plan, j.Periods
	}
	if j.IsOver() {
		row.EndedAt = &j.EndedAt
	}
	return row
}

// what is what a job does, in a few words.
func (r *jobRow) what() string {
	switch {
	case r.Days > 0:
		return fmt.Sprintf("%s %d days", r.Action, r.Days)
	case r.Plan != "":
		return fmt.Sprintf("%s %s, %d periods", r.Action, r.Plan, r.Periods)
	default:
		return r.Action
	}
}

// printJob prints where a job stands.
func (t *Terminal) printJob(j *vpn.Job, asJSON bool) error {
	row := jobRowOf(j)
	if asJSON {
		return t.printJSON(row)
	}
	t.printf("Job %d (%s): %s, %d of %d done, %d refused\n", row.ID, row.what(), row.State, row.Done, row.Selected, row.Refused)
	switch {
	case !j.IsOver():
		t.notef("The running service goes on with it: stile job show %d --wait\n", row.ID)
	case row.Refused > 0:
		t.notef("Whom it could not do: stile job refusals %d\n", row.ID)
	}
	return nil
}

// jobPatience is how long a job may stand before somebody who waits is told what it waits for.
const jobPatience = 10 * time.Second

// awaitJob says each second how far a job is, until it is over.
func awaitJob(ctx context.Context, t *Terminal, s *vpn.Service, id int64, asJSON bool) error {
	done, movedAt, isAsked := int64(0), time.Now(), false
	for told := -1; ; {
		j, err := s.Job(ctx, shell, id)
		if err != nil {
			return err
		}
		if j.IsOver() {
			if err := t.printJob(&j, asJSON); err != nil || j.State != vpn.JobFailed {
				return err
			}
			return fmt.Errorf("job %d failed: %s", id, j.Error)
		}
		if percent := j.Percent(); percent > told && !asJSON {
			told = percent
			t.notef("%s: %d %%, %d of %d\n", j.State, percent, j.Done+j.Refused, j.Selected)
		}
		if now := j.Done + j.Refused + j.Selected; now != done {
			done, movedAt = now, time.Now()
		} else if !isAsked && time.Since(movedAt) > jobPatience {
			isAsked = true
			t.notef("Nothing has moved for %s: is `stile serve` running?\n", jobPatience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// JobListCmd is `stile job list`.
type JobListCmd struct {
	databaseFlags
	Before int64 `help:"Only those with a smaller number."`
	Limit  int   `range:"1..1000" default:"50" help:"At most this many, up to 1000."`
	JSON   bool  `name:"json" help:"Print JSON."`
}

// Run lists jobs.
func (c *JobListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		jobs, err := s.Jobs(ctx, shell, c.Before, c.Limit)
		if err != nil {
			return err
		}
		rows := make([]jobRow, 0, len(jobs))
		cells := make([][]string, 0, len(jobs))
		for i := range jobs {
			row := jobRowOf(&jobs[i])
			rows = append(rows, row)
			cells = append(cells, []string{
				id(row.ID), row.what(), row.State, fmt.Sprintf("%d %%", row.Percent), fmt.Sprint(row.Selected), fmt.Sprint(row.Done),
				fmt.Sprint(row.Refused), row.CreatedAt.Format(time.DateTime),
			})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"NO", "WHAT", "STATE", "OVER", "SELECTED", "DONE", "REFUSED", "BEGUN (UTC)"}, cells)
		return nil
	})
}

// jobRef names a job on the command line.
type jobRef struct {
	databaseFlags
	ID int64 `arg:"" name:"id" help:"Number of the job, as 'stile job list' shows it."`
}

// unfound names the job that is not there.
func (r *jobRef) unfound(err error) error { return unfound(err, "job "+id(r.ID), "job list") }

// JobShowCmd is `stile job show`.
type JobShowCmd struct {
	jobRef
	Wait bool `help:"Wait for its end."`
	JSON bool `name:"json" help:"Print JSON."`
}

// Run shows the job.
func (c *JobShowCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if c.Wait {
			return c.unfound(awaitJob(ctx, t, s, c.ID, c.JSON))
		}
		j, err := s.Job(ctx, shell, c.ID)
		if err != nil {
			return c.unfound(err)
		}
		return t.printJob(&j, c.JSON)
	})
}

// JobRefusalsCmd is `stile job refusals`.
type JobRefusalsCmd struct {
	jobRef
	After int64 `help:"Start after this account."`
	Limit int   `range:"1..1000" default:"100" help:"At most this many, up to 1000."`
	JSON  bool  `name:"json" help:"Print JSON."`
}

// refusalRow is an account that a job could not do.
type refusalRow struct {
	ID    int64  `json:"id"`
	Email string `json:"email"` // "" when the account is gone
	Code  string `json:"code"`
}

// Run lists the refusals.
func (c *JobRefusalsCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		refused, err := s.JobRefusals(ctx, shell, c.ID, c.After, c.Limit)
		if err != nil {
			return c.unfound(err)
		}
		ids := make([]int64, len(refused))
		for i, r := range refused {
			ids[i] = r.ID
		}
		emails, err := s.Emails(ctx, shell, ids)
		if err != nil {
			return err
		}
		rows := make([]refusalRow, 0, len(refused))
		cells := make([][]string, 0, len(refused))
		for _, r := range refused {
			rows = append(rows, refusalRow{r.ID, emails[r.ID], string(r.Code)})
			cells = append(cells, []string{id(r.ID), emails[r.ID], whyLeftOut(r.Code)})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"ID", "E-MAIL", "WHY"}, cells)
		return nil
	})
}

// whyLeftOut is why a job could not do an account.
func whyLeftOut(code vpn.Code) string {
	switch code {
	case vpn.CodeNotFound:
		return "the account is gone"
	case vpn.CodeForbidden:
		return "no right to change this account"
	case vpn.CodeValidationFailed:
		return "the subscription has no end, or it would be too far away"
	default:
		return explain(vpn.Refusal(code), nil)
	}
}

// JobCancelCmd is `stile job cancel`.
type JobCancelCmd struct{ jobRef }

// Run ends the job.
func (c *JobCancelCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		err := s.CancelJob(ctx, shell, c.ID)
		if vpn.CodeOf(err) == vpn.CodeConflict {
			return fmt.Errorf("job %d is over already", c.ID)
		}
		if err != nil {
			return c.unfound(err)
		}
		t.printf("Job %d is cancelled.\n", c.ID)
		return nil
	})
}
