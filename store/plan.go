package store

import (
	"context"

	"stile/vpn"
)

const planColumns = `
	p.id, p.code, p.name_ru, p.name_en, p.tier, p.period_days, p.grace_days, p.is_trial, p.device_limit, p.traffic_limit,
	p.speed_limit_mbps, p.created_at, p.starts_at_first_use, p.next_plan_id, p.traffic_by_period`

// planFields are the places for planColumns.
func planFields(p *vpn.Plan) []any {
	return []any{
		&p.ID, &p.Code, &p.Name.RU, &p.Name.EN, &p.Tier, &p.PeriodDays, &p.GraceDays, &p.IsTrial, &p.DeviceLimit, &p.TrafficLimit,
		&p.SpeedLimitMbps, instant{&p.CreatedAt}, &p.StartsAtFirstUse, &p.NextPlanID, &p.TrafficByPeriod,
	}
}

func scanPlan(row scanner) (p vpn.Plan, err error) {
	err = row.Scan(planFields(&p)...)
	return p, err
}

// AddPlan implements vpn.PlanStore.
func (s *Store) AddPlan(ctx context.Context, p vpn.Plan, a vpn.Audit) (vpn.Plan, error) {
	err := s.write(ctx, "add plan", func(t *tx) error {
		p.CreatedAt = t.now
		err := t.row(`
			INSERT INTO plan (code, name_ru, name_en, tier, period_days, grace_days, is_trial, device_limit, traffic_limit,
				speed_limit_mbps, created_at, starts_at_first_use, next_plan_id, traffic_by_period)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
			RETURNING id`,
			p.Code, p.Name.RU, p.Name.EN, p.Tier, p.PeriodDays, p.GraceDays, p.IsTrial, p.DeviceLimit, p.TrafficLimit,
			p.SpeedLimitMbps, millis(t.now), p.StartsAtFirstUse, p.NextPlanID, p.TrafficByPeriod,
		).Scan(&p.ID)
		if err != nil {
			return t.taken(err)
		}
		return t.audit(a, p.ID)
	})
	if err != nil {
		return vpn.Plan{}, err
	}
	return p, nil
}

const allPlans = `
	SELECT` + planColumns + `
	FROM plan p
	ORDER BY p.id`

// Plans implements vpn.PlanStore.
func (s *Store) Plans(ctx context.Context) ([]vpn.Plan, error) {
	rows, err := s.read(ctx).rows(allPlans)
	return list(rows, err, scanPlan)
}

// PlanByCode implements vpn.PlanStore.
func (s *Store) PlanByCode(ctx context.Context, code string) (p vpn.Plan, err error) {
	err = one(s.read(ctx).row(`
		SELECT`+planColumns+`
		FROM plan p
		WHERE p.code = $1`, code), planFields(&p)...)
	return p, err
}

// UpdatePlan implements vpn.PlanStore. It touches no account: a million would hold up whoever writes for half a minute.
func (s *Store) UpdatePlan(ctx context.Context, p vpn.Plan, a vpn.Audit) error {
	return s.write(ctx, "update plan", func(t *tx) error {
		if err := t.change(`
			UPDATE plan
			SET code = $2, name_ru = $3, name_en = $4, tier = $5, period_days = $6, grace_days = $7, is_trial = $8,
				device_limit = $9, traffic_limit = $10, speed_limit_mbps = $11, starts_at_first_use = $12, next_plan_id = $13,
				traffic_by_period = $14, due_after = 0
			WHERE id = $1`,
			p.ID, p.Code, p.Name.RU, p.Name.EN, p.Tier, p.PeriodDays, p.GraceDays, p.IsTrial,
			p.DeviceLimit, p.TrafficLimit, p.SpeedLimitMbps, p.StartsAtFirstUse, p.NextPlanID, p.TrafficByPeriod); err != nil {
			return t.taken(err)
		}
		return t.audit(a, p.ID)
	})
}
