package api

import (
	"context"
	"encoding/csv"
	"net/http"

	"stile/vpn"
	"stile/wire"
)

// jobInput is the input of POST /api/admin/jobs: an action, and either ids or what accounts are selected by. To select all
// of them must be said.
type jobInput struct {
	vpn.Bulk
	users usersInput
	all   bool
}

func (j *jobInput) read(in *input) {
	j.Action = vpn.BulkAction(in.text("action", true))
	j.Days, j.Plan, j.Periods = in.count("days", false), in.text("plan", false), in.count("periods", false)
	if j.Periods == 0 {
		j.Periods = 1
	}
	if j.all = in.boolean("all"); j.all {
		j.users.filter(in, "plan_is")
		return
	}
	j.IDs = in.ids("ids")
}

// startJob begins an action on many accounts.
func (a *API) startJob(ctx context.Context, actor *vpn.Actor, in jobInput) (*wire.AdminJob, error) {
	var filter *vpn.UserFilter
	if in.all {
		if err := a.findPlan(ctx, actor, &in.users); err != nil {
			return nil, spelled(err, jobFields)
		}
		filter = &in.users.UserFilter
	}
	j, err := a.service.StartJob(ctx, actor, in.Bulk, filter)
	if err != nil {
		return nil, err
	}
	return adminJobOf(&j), nil
}

func adminJobOf(j *vpn.Job) *wire.AdminJob {
	return &wire.AdminJob{
		ID: j.ID, ActorID: j.ActorID, Action: string(j.Action), Days: j.Days, Plan: orNull(j.Plan), Periods: j.Periods, State: string(j.State),
		Selected: j.Selected, Done: j.Done, Refused: j.Refused, Percent: j.Percent(), Error: orNull(string(j.Error)),
		CreatedAt: wire.Seconds(j.CreatedAt), EndedAt: wire.SecondsOrNull(j.EndedAt),
	}
}

// jobs returns a page of jobs, the newest first.
func (a *API) jobs(ctx context.Context, actor *vpn.Actor, in backInput) (*wire.Page[*wire.AdminJob, int64], error) {
	jobs, err := a.service.Jobs(ctx, actor, in.before, in.limit+1)
	return pageOf(jobs, in.limit, adminJobOf, func(j *vpn.Job) int64 { return j.ID }), err
}

// job returns how far a job is.
func (a *API) job(ctx context.Context, actor *vpn.Actor, in named) (*wire.AdminJob, error) {
	j, err := a.service.Job(ctx, actor, in.id)
	if err != nil {
		return nil, err
	}
	return adminJobOf(&j), nil
}

// cancelJob ends a job; what was done stays.
func (a *API) cancelJob(ctx context.Context, actor *vpn.Actor, in named) (*wire.AdminJob, error) {
	if err := a.service.CancelJob(ctx, actor, in.id); err != nil {
		return nil, err
	}
	return a.job(ctx, actor, in)
}

// refusalsInput is the input of GET /api/admin/jobs/{id}/refusals.
type refusalsInput struct {
	named
	after int64
	limit int
}

func (r *refusalsInput) read(in *input) {
	r.named.read(in)
	r.after, r.limit = in.integer("after", false), in.pageSize()
}

// jobRefusals returns the accounts that a job could not do.
func (a *API) jobRefusals(ctx context.Context, actor *vpn.Actor, in refusalsInput) (*wire.Page[wire.AdminOutcome, int64], error) {
	refused, err := a.service.JobRefusals(ctx, actor, in.id, in.after, in.limit+1)
	return pageOf(refused, in.limit, adminOutcomeOf, func(o *vpn.BulkOutcome) int64 { return o.ID }), err
}

// exportUsers writes accounts as a table of comma-separated values (RFC 4180).
func (a *API) exportUsers(x *exchange) error {
	var in usersInput
	if err := x.read(&in); err != nil {
		return err
	}
	if err := a.findPlan(x.r.Context(), x.actor, &in); err != nil {
		return err
	}
	table := csv.NewWriter(x.w)
	begin := func() {
		if x.status == 0 {
			x.w.Header()["Content-Type"] = []string{"text/csv; charset=utf-8"}
			x.status = http.StatusOK
			x.w.WriteHeader(x.status)
			_ = table.Write(vpn.ExportColumns()) // its error is that of Flush
		}
	}
	err := a.service.ExportUsers(x.r.Context(), x.actor, nil, in.UserFilter, func(u *vpn.ExportedUser) error {
		begin()
		return table.Write(u.Row())
	})
	if err != nil && x.status == 0 {
		return err
	}
	if err != nil && !x.isGone(err) {
		panic(err) // the answer is half there: only cutting it off tells the client
	}
	begin()
	table.Flush() // whoever asked may be gone
	return nil
}
