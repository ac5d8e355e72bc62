package cli

import (
	"context"
	"fmt"

	"stile/store"
	"stile/vpn"
)

// PlanCmd is `stile plan`.
type PlanCmd struct {
	Add  PlanAddCmd  `cmd:"" help:"Make a plan."`
	List PlanListCmd `cmd:"" help:"List plans."`
	Set  PlanSetCmd  `cmd:"" help:"Change a plan; the keys of its subscribers follow at once."`
}

// planFlags are the values of a plan.
type planFlags struct {
	Name    *string `help:"Name in English; a plan has one in one of the languages."`
	NameRu  *string `help:"Name in Russian."`
	Days    *int    `range:"0..36500" help:"Length of a period; 0 is for life. New plans: 30."`
	Grace   *int    `range:"0..365" help:"Days that keys go on working after the expiry."`
	Trial   *bool   `negatable:"" help:"The plan is a trial."`
	Devices *int    `range:"1..10000" help:"Devices signed in at once. New plans: 5."`
	Traffic *size   `help:"Traffic a month, such as 100GB; 0 is unlimited."`
	Speed   *int    `range:"0..1000000" help:"Mbit/s per device and direction; 0 is unlimited."`
	Tier    *int    `range:"0..2147483647" help:"Opens servers up to this tier."`
	Next    *string `placeholder:"CODE" help:"Plan that follows, for one period, when a subscription and its grace have ended; an empty one is none."`

	TrafficByPeriod  *bool `negatable:"" help:"Traffic is for each period instead of each month."`
	StartsAtFirstUse *bool `negatable:"" help:"A period begins with the first key instead of at once."`
}

// areNone reports whether no flag is given.
func (f *planFlags) areNone() bool { return *f == planFlags{} }

// apply puts the given flags over a plan's values; plans are those that there are.
func (f *planFlags) apply(p *vpn.Plan, plans []vpn.Plan) error {
	setFrom(&p.Name.EN, f.Name)
	setFrom(&p.Name.RU, f.NameRu)
	setFrom(&p.PeriodDays, f.Days)
	setFrom(&p.GraceDays, f.Grace)
	setFrom(&p.IsTrial, f.Trial)
	setFrom(&p.DeviceLimit, f.Devices)
	setFrom(&p.SpeedLimitMbps, f.Speed)
	setFrom(&p.Tier, f.Tier)
	setFrom(&p.StartsAtFirstUse, f.StartsAtFirstUse)
	setFrom(&p.TrafficByPeriod, f.TrafficByPeriod)
	if f.Traffic != nil {
		p.TrafficLimit = int64(*f.Traffic)
	}
	if f.Next == nil {
		return nil
	}
	return f.follow(p, plans)
}

// follow sets the plan that follows by its code.
func (f *planFlags) follow(p *vpn.Plan, plans []vpn.Plan) error {
	if p.NextPlanID = 0; *f.Next == "" {
		return nil
	}
	for i := range plans {
		if plans[i].Code == *f.Next {
			p.NextPlanID = plans[i].ID
			return nil
		}
	}
	return fmt.Errorf("--next: no plan %q; `stile plan list` shows them", *f.Next)
}

// setFrom replaces a value by a given one, an empty one too: whether that may be is the domain's to say.
func setFrom[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}

// PlanAddCmd is `stile plan add`.
type PlanAddCmd struct {
	databaseFlags
	planFlags
	Code string `arg:"" help:"Short unique name, such as standard."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run makes the plan.
func (c *PlanAddCmd) Run(ctx context.Context, t *Terminal) error {
	return c.useOrMake(ctx, t, func(_ *store.Store, s *vpn.Service) error {
		plans, err := s.Plans(ctx, shell)
		if err != nil {
			return err
		}
		p := vpn.Plan{Code: c.Code, Name: vpn.Text{EN: c.Code}, PeriodDays: 30, DeviceLimit: 5}
		if err := c.apply(&p, plans); err != nil {
			return err
		}
		p, err = s.AddPlan(ctx, shell, p)
		if err != nil {
			return err
		}
		if c.JSON {
			return t.printJSON(planRowOf(&p))
		}
		t.printf("Plan %s made. Next: stile user subscribe EMAIL %s\n", p.Code, p.Code)
		return nil
	})
}

// PlanSetCmd is `stile plan set`.
type PlanSetCmd struct {
	databaseFlags
	planFlags
	Code string `arg:"" help:"Code of the plan."`
}

// Run changes the plan.
func (c *PlanSetCmd) Run(ctx context.Context, t *Terminal) error {
	if c.areNone() {
		return errNothing
	}
	return c.use(ctx, func(s *vpn.Service) error {
		plans, err := s.Plans(ctx, shell)
		if err != nil {
			return err
		}
		for i := range plans {
			if p := &plans[i]; p.Code == c.Code {
				if err := c.apply(p, plans); err != nil {
					return err
				}
				if err := s.UpdatePlan(ctx, shell, *p); err != nil {
					return err
				}
				t.printf("Plan %s changed.\n", p.Code)
				return nil
			}
		}
		return fmt.Errorf("no plan %q; `stile plan list` shows them", c.Code)
	})
}

// PlanListCmd is `stile plan list`.
type PlanListCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

type planRow struct {
	ID      int64  `json:"id"`
	Code    string `json:"code"`
	Name    string `json:"name"`
	NameRU  string `json:"name_ru"`
	Days    int    `json:"days"`
	Grace   int    `json:"grace_days"`
	IsTrial bool   `json:"is_trial"`
	Devices int    `json:"devices"`
	Traffic int64  `json:"traffic_bytes"`
	Speed   int    `json:"speed_mbps"`
	Tier    int    `json:"tier"`
	// TrafficByPeriod, StartsAtFirstUse and NextPlanID are as in vpn.Plan.
	TrafficByPeriod  bool  `json:"traffic_by_period"`
	StartsAtFirstUse bool  `json:"starts_at_first_use"`
	NextPlanID       int64 `json:"next_plan_id"`
}

func planRowOf(p *vpn.Plan) planRow {
	return planRow{
		p.ID, p.Code, p.Name.EN, p.Name.RU, p.PeriodDays, p.GraceDays, p.IsTrial, p.DeviceLimit, p.TrafficLimit,
		p.SpeedLimitMbps, p.Tier, p.TrafficByPeriod, p.StartsAtFirstUse, p.NextPlanID,
	}
}

// Run lists the plans.
func (c *PlanListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		plans, err := s.Plans(ctx, shell)
		if err != nil {
			return err
		}
		rows := make([]planRow, 0, len(plans))
		cells := make([][]string, 0, len(plans))
		for i := range plans {
			r := planRowOf(&plans[i])
			rows = append(rows, r)
			cells = append(cells, []string{
				r.Code, plans[i].Name.In("en"), fmt.Sprint(r.Days), fmt.Sprint(r.Devices), bytesOrUnlimited(r.Traffic),
				orUnlimited(int64(r.Speed)), fmt.Sprint(r.Tier),
			})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"CODE", "NAME", "DAYS", "DEVICES", "TRAFFIC A MONTH", "MBIT/S", "TIER"}, cells)
		return nil
	})
}
