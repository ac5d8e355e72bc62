package vpn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// AddPlan makes a plan. CodeValidationFailed names the field; CodeConflict when the code is taken.
func (s *Service) AddPlan(ctx context.Context, a *Actor, p Plan) (Plan, error) {
	if err := a.may(NounPlans, Write); err != nil {
		return Plan{}, err
	}
	if err := checkPlan(&p); err != nil {
		return Plan{}, err
	}
	if !isPlanCode(p.Code) {
		return Plan{}, invalid("code", "in")
	}
	if err := s.checkNext(ctx, &p); err != nil {
		return Plan{}, err
	}
	plan, err := s.store.AddPlan(ctx, p, a.audit("plan.add", 0))
	if errors.Is(err, ErrTaken) {
		return Plan{}, &Error{Code: CodeConflict, Field: "code", Rule: "unique"}
	}
	return plan, err
}

// maxPlanCode is the longest code of a plan, in bytes.
const maxPlanCode = 64

// isPlanCode reports whether a new plan may have a code, in lower case: scripts, vouchers and payments name a plan by it.
func isPlanCode(code string) bool {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	return strings.Contains(alphanumeric, code[:1]) && strings.Trim(code, alphanumeric+"-_.") == ""
}

func checkPlan(p *Plan) error {
	p.Code = strings.ToLower(strings.TrimSpace(p.Code))
	switch {
	case p.Code == "":
		return invalid("code", "required")
	case len(p.Code) > maxPlanCode:
		return tooLong("code", maxPlanCode)
	case p.Name.RU == "" && p.Name.EN == "":
		return invalid("name", "required")
	case isLong(p.Name.RU) || isLong(p.Name.EN):
		return tooLong("name", maxName)
	case p.DeviceLimit < 1 || p.DeviceLimit > 10_000:
		return invalid("devices", "in")
	case p.PeriodDays < 0 || p.PeriodDays > maxDays:
		return invalid("days", "in")
	case p.GraceDays < 0 || p.GraceDays > 365:
		return invalid("grace", "in")
	case p.Tier < 0 || p.Tier > math.MaxInt32:
		return invalid("tier", "in")
	case p.TrafficLimit < 0:
		return invalid("traffic", "in")
	case p.NextPlanID != 0 && p.NextPlanID == p.ID:
		return invalid("next", "in")
	case p.SpeedLimitMbps < 0 || p.SpeedLimitMbps > 1_000_000:
		return invalid("speed", "in")
	}
	return nil
}

// checkNext refuses to have a plan followed by one that is not there: its subscribers would wait for it for ever.
func (s *Service) checkNext(ctx context.Context, p *Plan) error {
	if p.NextPlanID == 0 {
		return nil
	}
	plans, err := s.store.Plans(ctx)
	if err == nil && !slices.ContainsFunc(plans, func(q Plan) bool { return q.ID == p.NextPlanID }) {
		err = invalid("next", "exists")
	}
	return err
}

// UpdatePlan replaces a plan's values; the keys of its subscribers follow.
func (s *Service) UpdatePlan(ctx context.Context, a *Actor, p Plan) error {
	if err := a.may(NounPlans, Write); err != nil {
		return err
	}
	if err := checkPlan(&p); err != nil {
		return err
	}
	if err := s.checkPlanCode(ctx, &p); err != nil {
		return err
	}
	if err := s.checkNext(ctx, &p); err != nil {
		return err
	}
	err := s.store.UpdatePlan(ctx, p, a.audit("plan.update", p.ID))
	if errors.Is(err, ErrTaken) {
		return &Error{Code: CodeConflict, Field: "code", Rule: "unique"}
	}
	if err != nil {
		return notFound(err)
	}
	if err := s.sweepSoon(ctx); err != nil {
		return fmt.Errorf("plan saved, keys not yet: %w", err)
	}
	return nil
}

// checkPlanCode refuses what no new plan could be called, but for a code that the plan has already: who changes something else of
// it need not mend that.
func (s *Service) checkPlanCode(ctx context.Context, p *Plan) error {
	if isPlanCode(p.Code) {
		return nil
	}
	kept, err := s.store.PlanByCode(ctx, p.Code)
	if errors.Is(err, ErrNotFound) || err == nil && kept.ID != p.ID {
		return invalid("code", "in")
	}
	return err
}

// Plans returns all plans.
func (s *Service) Plans(ctx context.Context, a *Actor) ([]Plan, error) {
	if err := a.may(NounPlans, Read); err != nil {
		return nil, err
	}
	return s.store.Plans(ctx)
}
