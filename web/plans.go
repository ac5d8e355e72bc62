package web

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"stile/vpn"
)

// plansPage lists the plans.
type plansPage struct {
	Plans []vpn.Plan
	Form  planForm
}

// planForm is a plan as it is typed; At is where it goes.
type planForm struct {
	At                                                                         string
	Code, NameRU, NameEN, Tier, Days, Grace, Devices, Traffic, Speed, NextCode string
	IsTrial, StartsAtFirstUse, TrafficByPeriod                                 bool
	Plans                                                                      []vpn.Plan // that may follow
	Problem                                                                    problem
}

func (s *Site) plans(v *visit) error {
	return s.showPlans(v, http.StatusOK, planForm{Tier: "0", Days: "30", Grace: "3", Devices: "5", Traffic: "0", Speed: "0"})
}

func (s *Site) showPlans(v *visit, status int, form planForm) error {
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	form.At, form.Plans = "/admin/plans", plans
	return v.page(status, "plans", plansPage{Plans: plans, Form: form})
}

func (v *visit) planForm() planForm {
	return planForm{
		Code: v.form("code"), NameRU: v.form("name_ru"), NameEN: v.form("name_en"), Tier: v.form("tier"), Days: v.form("days"),
		Grace: v.form("grace"), Devices: v.form("devices"), Traffic: v.form("traffic"), Speed: v.form("speed"), NextCode: v.form("next"),
		IsTrial: v.form("trial") != "", StartsAtFirstUse: v.form("starts_at_first_use") != "",
		TrafficByPeriod: v.form("traffic_by_period") != "",
	}
}

// bytesInGB is a gigabyte as plans count traffic.
const bytesInGB = 1e9

func planFormOf(p *vpn.Plan, plans []vpn.Plan) planForm {
	f := planForm{
		Code: p.Code, NameRU: p.Name.RU, NameEN: p.Name.EN, Tier: strconv.Itoa(p.Tier), Days: strconv.Itoa(p.PeriodDays),
		Grace: strconv.Itoa(p.GraceDays), Devices: strconv.Itoa(p.DeviceLimit), Speed: strconv.Itoa(p.SpeedLimitMbps),
		Traffic: strconv.FormatFloat(float64(p.TrafficLimit)/bytesInGB, 'f', -1, 64), IsTrial: p.IsTrial, StartsAtFirstUse: p.StartsAtFirstUse,
		TrafficByPeriod: p.TrafficByPeriod,
	}
	for i := range plans {
		if plans[i].ID == p.NextPlanID {
			f.NextCode = plans[i].Code
		}
	}
	return f
}

// put writes what was typed over a plan. CodeValidationFailed names what is no number or no plan.
func (f *planForm) put(p *vpn.Plan, plans []vpn.Plan) error {
	p.Code, p.Name, p.IsTrial = f.Code, vpn.Text{RU: f.NameRU, EN: f.NameEN}, f.IsTrial
	p.StartsAtFirstUse, p.TrafficByPeriod = f.StartsAtFirstUse, f.TrafficByPeriod
	for _, field := range []struct {
		name, text string
		to         *int
	}{{"tier", f.Tier, &p.Tier}, {"days", f.Days, &p.PeriodDays}, {"grace", f.Grace, &p.GraceDays}, {"devices", f.Devices, &p.DeviceLimit}, {"speed", f.Speed, &p.SpeedLimitMbps}} {
		if err := readWhole(field.name, field.text, field.to); err != nil {
			return err
		}
	}
	traffic, err := readNumber(f.Traffic)
	if err != nil || traffic < 0 || traffic > math.MaxInt64/(2*bytesInGB) {
		return notIn("traffic")
	}
	p.TrafficLimit, p.NextPlanID = int64(math.Round(traffic*bytesInGB)), 0
	for i := range plans {
		if plans[i].Code == f.NextCode {
			p.NextPlanID = plans[i].ID
		}
	}
	if f.NextCode != "" && p.NextPlanID == 0 {
		return notIn("next")
	}
	return nil
}

func (s *Site) addPlan(v *visit) error {
	form := v.planForm()
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	var plan vpn.Plan
	if err = form.put(&plan, plans); err == nil {
		_, err = s.service.AddPlan(v.r.Context(), v.actor, plan)
	}
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showPlans(v, status, form)
		})
	}
	return v.done("/admin/plans", "plan_added")
}

// foundPlan returns the plan of the path, and all plans.
func (s *Site) foundPlan(v *visit) (*vpn.Plan, []vpn.Plan, error) {
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return nil, nil, err
	}
	for i := range plans {
		if plans[i].ID == v.pathID("id") {
			return &plans[i], plans, nil
		}
	}
	return nil, nil, vpn.Refusal(vpn.CodeNotFound)
}

func (s *Site) plan(v *visit) error {
	plan, plans, err := s.foundPlan(v)
	if err != nil {
		return err
	}
	return s.showPlan(v, http.StatusOK, plan, plans, planFormOf(plan, plans))
}

// planPage is one plan.
type planPage struct {
	Plan *vpn.Plan
	Form planForm
}

func (*Site) showPlan(v *visit, status int, plan *vpn.Plan, plans []vpn.Plan, form planForm) error {
	form.At = "/admin/plans/" + number(plan.ID)
	for i := range plans {
		if plans[i].ID != plan.ID {
			form.Plans = append(form.Plans, plans[i])
		}
	}
	return v.page(status, "plan", planPage{Plan: plan, Form: form})
}

func (s *Site) updatePlan(v *visit) error {
	plan, plans, err := s.foundPlan(v)
	if err != nil {
		return err
	}
	form, changed := v.planForm(), *plan
	form.Code = plan.Code // scripts and vouchers name a plan by it
	if err = form.put(&changed, plans); err == nil {
		err = s.service.UpdatePlan(v.r.Context(), v.actor, changed)
	}
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showPlan(v, status, plan, plans, form)
		})
	}
	return v.done("/admin/plans/"+number(plan.ID), "plan_saved")
}

// codesText is codes as a file: one a line.
func codesText(codes []string) string { return strings.Join(codes, "\n") + "\n" }
