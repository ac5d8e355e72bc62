package web

import (
	"encoding/csv"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stile/vpn"
)

// userFilter is what a list of accounts is narrowed by, as it is in the address and in forms.
type userFilter struct {
	Search, Status, Plan, Ends string
	IsStaff                    bool
}

// Ends are the choices of when a subscription ends.
const (
	endedAlready = "ended"
	endsInWeek   = "week"
	endsInMonth  = "month"
)

// userFilterOf reads a filter of a query or a form.
func userFilterOf(v *visit, get func(string) string) userFilter {
	return userFilter{Search: v.clean(get("q")), Status: get("status"), Plan: get("has"), Ends: get("ends"), IsStaff: get("staff") != ""}
}

// pairs are the filter's fields that are set, as forms carry them on.
func (f *userFilter) pairs() url.Values {
	values := url.Values{}
	staff := ""
	if f.IsStaff {
		staff = "yes"
	}
	for name, value := range map[string]string{"q": f.Search, "status": f.Status, "has": f.Plan, "ends": f.Ends, "staff": staff} {
		if value != "" {
			values.Set(name, value)
		}
	}
	return values
}

// Query is the filter in an address. It is marked as escaped: a template would take a text for one value, and escape what parts
// the fields.
func (f *userFilter) Query() template.URL { return template.URL(f.pairs().Encode()) } //nolint:gosec // escaped here

// IsAny reports that the filter leaves nobody out.
func (f *userFilter) IsAny() bool { return *f == userFilter{} }

// domain is the filter as the domain has it; what it does not know narrows nothing.
func (f *userFilter) domain(plans []vpn.Plan, now time.Time) vpn.UserFilter {
	out := vpn.UserFilter{Search: f.Search, IsStaff: f.IsStaff}
	switch s := vpn.UserStatus(f.Status); s {
	case vpn.UserActive, vpn.UserBlocked:
		out.Status = s
	}
	for i := range plans {
		if plans[i].Code == f.Plan {
			out.PlanID = plans[i].ID
		}
	}
	switch f.Ends {
	case endedAlready:
		out.ExpiresBefore = now
	case endsInWeek:
		out.ExpiresAfter, out.ExpiresBefore = now, now.AddDate(0, 0, 7)
	case endsInMonth:
		out.ExpiresAfter, out.ExpiresBefore = now, now.AddDate(0, 0, 30)
	}
	return out
}

// bulkForm is an action on many accounts as it is chosen.
type bulkForm struct {
	Action, Days, Plan, Periods string
	Problem                     problem
}

// bulkActions are what can be done to many, in the order of the form.
var bulkActions = []vpn.BulkAction{vpn.BulkExtend, vpn.BulkPlan, vpn.BulkBlock, vpn.BulkUnblock, vpn.BulkSignOut}

// read turns what was chosen into an action.
func (f *bulkForm) read() (vpn.Bulk, error) {
	in := vpn.Bulk{Action: vpn.BulkAction(f.Action), Plan: f.Plan}
	if err := readWhole("days", f.Days, &in.Days); err != nil {
		return in, err
	}
	return in, readWhole("periods", f.Periods, &in.Periods)
}

// bulkPage asks before something is done to many.
type bulkPage struct {
	Form   bulkForm
	Filter userFilter
	// IDs are the accounts chosen; none = all that the filter finds, which are Count, or more if IsMore.
	IDs    []int64
	Count  int
	IsMore bool
	Plan   vpn.Text
}

// maxCounted is how many accounts are counted before somebody is asked whether they mean them all.
const maxCounted = 10 * vpn.MaxBulk

// bulk begins an action on many accounts, once it was said again that it is meant.
func (s *Site) bulk(v *visit) error {
	if err := v.r.ParseForm(); err != nil {
		return errTooLarge
	}
	p := bulkPage{Filter: userFilterOf(v, v.form), Form: bulkForm{
		Action: v.form("action"), Days: v.form("days"), Plan: v.form("plan"), Periods: v.form("periods"),
	}}
	if v.form("all") == "" {
		p.IDs = ids(v.r.PostForm["id"])
	}
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	in, err := p.Form.read()
	if err != nil {
		return s.bulkRefused(v, &p, err)
	}
	filter := p.Filter.domain(plans, s.service.Now())
	if v.form("sure") == "" {
		if v.form("all") == "" && len(p.IDs) == 0 {
			return s.bulkRefused(v, &p, &vpn.Error{Code: vpn.CodeValidationFailed, Field: "id", Rule: "chosen"})
		}
		for i := range plans {
			if plans[i].Code == p.Form.Plan {
				p.Plan = plans[i].Name
			}
		}
		return s.askBulk(v, &p, in, filter)
	}
	var chosen *vpn.UserFilter
	if in.IDs = p.IDs; v.form("all") != "" {
		chosen = &filter
	}
	j, err := s.service.StartJob(v.r.Context(), v.actor, in, chosen)
	if err != nil {
		return s.bulkRefused(v, &p, err)
	}
	return v.done("/admin/jobs/"+number(j.ID), "job_begun")
}

// ids reads numbers; what is none is left out.
func ids(texts []string) (all []int64) {
	for _, text := range texts {
		if id, err := strconv.ParseInt(text, 10, 64); err == nil {
			all = append(all, id)
		}
	}
	return all
}

func (s *Site) bulkRefused(v *visit, p *bulkPage, err error) error {
	return v.retry(err, func(status int, problem problem) error {
		p.Form.Problem = problem
		return s.showUsers(v, status, usersPage{Filter: p.Filter, Bulk: p.Form})
	})
}

// askBulk shows what is about to be done, and to how many.
func (s *Site) askBulk(v *visit, p *bulkPage, in vpn.Bulk, filter vpn.UserFilter) error {
	if err := s.service.CheckBulk(v.r.Context(), v.actor, in); err != nil {
		return s.bulkRefused(v, p, err)
	}
	if p.Count = len(p.IDs); p.Count > 0 {
		return v.page(http.StatusOK, "bulk", p)
	}
	for filter.Limit = vpn.MaxBulk; ; {
		page, err := s.service.Users(v.r.Context(), v.actor, filter)
		if err != nil {
			return s.bulkRefused(v, p, err)
		}
		p.Count += len(page.Users)
		if filter.After = page.Next; page.Next == 0 {
			break
		}
		if p.IsMore = p.Count >= maxCounted; p.IsMore {
			break
		}
	}
	return v.page(http.StatusOK, "bulk", p)
}

// exportUsers answers with accounts as a file: those chosen, or all that the filter finds.
func (s *Site) exportUsers(v *visit) error {
	query := v.r.URL.Query()
	filter := userFilterOf(v, query.Get)
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	chosen := ids(query["id"])
	if query.Get("chosen") != "" && len(chosen) == 0 {
		return s.bulkRefused(v, &bulkPage{Filter: filter}, &vpn.Error{Code: vpn.CodeValidationFailed, Field: "id", Rule: "chosen"})
	}
	table := csv.NewWriter(v.w)
	begin := func() {
		if v.status == 0 {
			v.attach("users.csv", "text/csv; charset=utf-8")
			_ = table.Write(vpn.ExportColumns()) // its error is that of Flush
		}
	}
	err = s.service.ExportUsers(v.r.Context(), v.actor, chosen, filter.domain(plans, s.service.Now()), func(u *vpn.ExportedUser) error {
		begin()
		return table.Write(u.Row())
	})
	if err != nil && v.status == 0 {
		return err
	}
	if err != nil && v.r.Context().Err() == nil {
		panic(err) // the file is half there: only cutting it off tells the browser
	}
	begin()
	table.Flush() // whoever asked may be gone
	return nil
}

// attach begins an answer that browsers save as a file.
func (v *visit) attach(name, contentType string) {
	h := v.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	v.status = http.StatusOK
	v.w.WriteHeader(v.status)
}
