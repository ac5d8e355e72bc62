package web

import (
	"encoding/json"
	"net/http"
	"strconv"

	"stile/vpn"
)

// jobsPage lists actions on many accounts, the newest first.
type jobsPage struct {
	Jobs []jobRow
	// Before is where the page begins, Next where the following one does; 0 = at the newest, and none.
	Before, Next int64
}

// jobRow is a job with who asked for it: an e-mail, "" for the shell and for who is gone.
type jobRow struct {
	vpn.Job
	Actor string
}

// Tone is the colour of a job's state.
func (j *jobRow) Tone() string {
	switch j.State {
	case vpn.JobDone:
		return "active"
	case vpn.JobFailed:
		return "expired"
	case vpn.JobSelecting, vpn.JobRunning:
		return "trial"
	default:
		return ""
	}
}

func (s *Site) jobs(v *visit) error {
	before, _ := strconv.ParseInt(v.r.URL.Query().Get("before"), 10, 64)
	p := jobsPage{Before: max(0, before)}
	jobs, err := s.service.Jobs(v.r.Context(), v.actor, p.Before, pageRows+1)
	if err != nil {
		return err
	}
	if len(jobs) > pageRows {
		jobs = jobs[:pageRows]
		p.Next = jobs[pageRows-1].ID
	}
	var actors []int64
	for i := range jobs {
		actors = append(actors, jobs[i].ActorID)
	}
	emails, err := s.service.Emails(v.r.Context(), v.actor, actors)
	if err != nil {
		return err
	}
	for i := range jobs {
		p.Jobs = append(p.Jobs, jobRow{jobs[i], emails[jobs[i].ActorID]})
	}
	return v.page(http.StatusOK, "jobs", p)
}

// jobPage is one job with the accounts that it could not do.
type jobPage struct {
	jobRow
	Refusals []refusalRow
	// After is where the page of refusals begins, NextRefusal where the following one does.
	After, NextRefusal int64
	// Said is how far it is, in a sentence.
	Said string
}

// refusalRow is an account that was refused; Email is "" when it is gone.
type refusalRow struct {
	ID    int64
	Email string
	Why   string
}

func (s *Site) job(v *visit) error {
	j, err := s.service.Job(v.r.Context(), v.actor, v.pathID("id"))
	if err != nil {
		return err
	}
	p := jobPage{jobRow: jobRow{Job: j}, Said: v.progress(&j)}
	if after, err := strconv.ParseInt(v.r.URL.Query().Get("after"), 10, 64); err == nil {
		p.After = max(0, after)
	}
	refused, err := s.service.JobRefusals(v.r.Context(), v.actor, j.ID, p.After, pageRows+1)
	if err != nil {
		return err
	}
	if len(refused) > pageRows {
		refused = refused[:pageRows]
		p.NextRefusal = refused[pageRows-1].ID
	}
	who := []int64{j.ActorID}
	for _, r := range refused {
		who = append(who, r.ID)
	}
	emails, err := s.service.Emails(v.r.Context(), v.actor, who)
	if err != nil {
		return err
	}
	p.Actor = emails[j.ActorID]
	for _, r := range refused {
		p.Refusals = append(p.Refusals, refusalRow{r.ID, emails[r.ID], v.refusedFor(r.Code)})
	}
	return v.page(http.StatusOK, "job", &p)
}

// refusedFor says why one of many accounts was refused.
func (v *visit) refusedFor(code vpn.Code) string {
	if key := "jobs.why." + string(code); v.site.texts.Has(v.lang, key) {
		return v.t(key)
	}
	return string(code)
}

// progress says how far a job is.
func (v *visit) progress(j *vpn.Job) string {
	switch j.State {
	case vpn.JobSelecting:
		return v.n("jobs.selecting", int(j.Selected))
	case vpn.JobFailed:
		return v.t("jobs.failed", "why", v.refusedFor(j.Error))
	default:
		return v.t("jobs.progress", "done", number(j.Done), "total", number(j.Selected), "refused", number(j.Refused))
	}
}

// jobProgress is a job as the script on its page asks for it.
func (s *Site) jobProgress(v *visit) error {
	j, err := s.service.Job(v.r.Context(), v.actor, v.pathID("id"))
	if err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		Percent int    `json:"percent"`
		Said    string `json:"said"`
		IsOver  bool   `json:"is_over"`
	}{j.Percent(), v.progress(&j), j.IsOver()})
	if err != nil {
		return err
	}
	v.send(http.StatusOK, "application/json", body)
	return nil
}

func (s *Site) cancelJob(v *visit) error {
	id := v.pathID("id")
	err := s.service.CancelJob(v.r.Context(), v.actor, id)
	if vpn.CodeOf(err) == vpn.CodeConflict { // it has ended just now: its page says so
		return v.redirect("/admin/jobs/" + number(id))
	}
	if err != nil {
		return err
	}
	return v.done("/admin/jobs/"+number(id), "job_cancelled")
}
