package api

import (
	"context"
	"time"

	"stile/vpn"
	"stile/wire"
)

// subscribeInput is the input of POST /api/admin/users/{id}/subscription.
type subscribeInput struct {
	id      int64
	plan    string
	periods int
}

func (s *subscribeInput) read(in *input) {
	s.id, s.plan, s.periods = in.x.pathID(), in.text("plan", true), in.count("periods", false)
	if s.periods == 0 {
		s.periods = 1
	}
}

// subscribe gives a user periods of a plan.
func (a *API) subscribe(ctx context.Context, actor *vpn.Actor, in subscribeInput) (*wire.AdminProfile, error) {
	if _, err := a.service.Subscribe(ctx, actor, in.id, in.plan, in.periods); err != nil {
		return nil, err
	}
	return a.profile(ctx, actor, named{in.id})
}

// extendInput is the input of POST /api/admin/users/{id}/extension.
type extendInput struct {
	id   int64
	days int
}

func (e *extendInput) read(in *input) { e.id, e.days = in.x.pathID(), in.count("days", true) }

// extend adds days to a subscription.
func (a *API) extend(ctx context.Context, actor *vpn.Actor, in extendInput) (*wire.AdminProfile, error) {
	if _, err := a.service.Extend(ctx, actor, in.id, in.days); err != nil {
		return nil, err
	}
	return a.profile(ctx, actor, named{in.id})
}

// expiryInput is the input of PUT /api/admin/users/{id}/expiry.
type expiryInput struct {
	id        int64
	expiresAt time.Time
}

func (e *expiryInput) read(in *input) {
	e.id, e.expiresAt = in.x.pathID(), in.instant("expires_at", true)
}

// setExpiry moves the end of a subscription.
func (a *API) setExpiry(ctx context.Context, actor *vpn.Actor, in expiryInput) (done, error) {
	return done{}, a.service.SetExpiry(ctx, actor, in.id, in.expiresAt)
}

// plans returns all plans.
func (a *API) plans(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.Page[wire.AdminPlan, int64], error) {
	plans, err := a.service.Plans(ctx, actor)
	if err != nil {
		return nil, err
	}
	return &wire.Page[wire.AdminPlan, int64]{Data: eachOf(plans, adminPlanOf)}, nil
}

func adminPlanOf(p *vpn.Plan) wire.AdminPlan {
	return wire.AdminPlan{
		ID: p.ID, Code: p.Code, Name: wire.Texts(p.Name), Tier: p.Tier, PeriodDays: p.PeriodDays, GraceDays: p.GraceDays,
		IsTrial: p.IsTrial, DeviceLimit: p.DeviceLimit, TrafficLimit: p.TrafficLimit, TrafficByPeriod: p.TrafficByPeriod, SpeedLimitMbps: p.SpeedLimitMbps,
		StartsAtFirstUse: p.StartsAtFirstUse, NextPlanID: p.NextPlanID,
	}
}

// planInput is the input of POST /api/admin/plans and PUT /api/admin/plans/{id}: all values of a plan.
type planInput struct{ vpn.Plan }

func (p *planInput) read(in *input) {
	p.ID, p.Code = in.x.pathID(), in.text("code", true)
	p.Name = vpn.Text{RU: in.text("name_ru", false), EN: in.text("name_en", false)}
	p.Tier, p.PeriodDays, p.GraceDays = in.count("tier", false), in.count("period_days", false), in.count("grace_days", false)
	p.IsTrial, p.StartsAtFirstUse, p.TrafficByPeriod = in.boolean("is_trial"), in.boolean("starts_at_first_use"), in.boolean("traffic_by_period")
	p.DeviceLimit, p.TrafficLimit = in.count("device_limit", true), in.integer("traffic_limit", false)
	p.SpeedLimitMbps, p.NextPlanID = in.count("speed_limit_mbps", false), in.integer("next_plan_id", false)
}

// addPlan makes a plan.
func (a *API) addPlan(ctx context.Context, actor *vpn.Actor, in planInput) (wire.AdminPlan, error) {
	in.ID = 0
	p, err := a.service.AddPlan(ctx, actor, in.Plan)
	return adminPlanOf(&p), spelled(err, planFields)
}

// updatePlan replaces a plan's values.
func (a *API) updatePlan(ctx context.Context, actor *vpn.Actor, in planInput) (wire.AdminPlan, error) {
	return adminPlanOf(&in.Plan), spelled(a.service.UpdatePlan(ctx, actor, in.Plan), planFields)
}

// backInput is the input of lists that go back from the newest.
type backInput struct {
	before int64
	after  int64 // of exports, which go forward
	limit  int
	userID int64
}

func (b *backInput) read(in *input) {
	b.after = in.integer("after", false)
	b.before, b.limit, b.userID = in.integer("before", false), in.pageSize(), in.integer("user_id", false)
}

// vouchers returns a page of vouchers, without their codes.
func (a *API) vouchers(ctx context.Context, actor *vpn.Actor, in backInput) (*wire.Page[wire.AdminVoucher, int64], error) {
	vouchers, err := a.service.Vouchers(ctx, actor, in.before, in.limit+1)
	return pageOf(vouchers, in.limit, adminVoucherOf, func(v *vpn.Voucher) int64 { return v.ID }), err
}

func adminVoucherOf(v *vpn.Voucher) wire.AdminVoucher {
	return wire.AdminVoucher{
		ID: v.ID, PlanID: v.PlanID, Periods: v.Periods, Uses: v.Uses, Used: v.Used, Note: v.Note,
		CreatedAt: wire.Seconds(v.CreatedAt), ExpiresAt: wire.SecondsOrNull(v.ExpiresAt),
	}
}

// newVouchersInput is the input of POST /api/admin/vouchers.
type newVouchersInput struct{ vpn.NewVouchers }

func (v *newVouchersInput) read(in *input) {
	v.Plan, v.Note, v.ExpiresAt = in.text("plan", true), in.text("note", false), in.instant("expires_at", false)
	v.Periods, v.Uses, v.Count = in.count("periods", false), in.count("uses", false), in.count("count", false)
	for _, n := range []*int{&v.Periods, &v.Uses, &v.Count} {
		if *n == 0 {
			*n = 1
		}
	}
	if v.Count > maxCodes {
		in.fault("count", "in", 0)
	}
}

// maxCodes is how many voucher codes one call makes.
const maxCodes = 1000

// addVouchers makes codes.
func (a *API) addVouchers(ctx context.Context, actor *vpn.Actor, in newVouchersInput) (wire.AdminCodes, error) {
	codes, err := a.service.AddVouchers(ctx, actor, in.NewVouchers)
	return wire.AdminCodes{Codes: codes}, spelled(err, voucherFields)
}

// removeVoucher deletes a voucher.
func (a *API) removeVoucher(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.RemoveVoucher(ctx, actor, in.id)
}

// paymentsInput is the input of GET /api/admin/payments.
type paymentsInput struct{ vpn.PaymentFilter }

func (p *paymentsInput) read(in *input) {
	p.Before, p.Limit, p.UserID = in.text("before", false), in.pageSize(), in.integer("user_id", false)
}

// payments returns a page of payments.
func (a *API) payments(ctx context.Context, actor *vpn.Actor, in paymentsInput) (*wire.Page[wire.AdminPayment, string], error) {
	filter := in.PaymentFilter
	filter.Limit++
	payments, err := a.service.Payments(ctx, actor, filter)
	return pageOf(payments, in.Limit, adminPaymentOf, func(p *vpn.Payment) string { return p.ID }), err
}

func adminPaymentOf(p *vpn.Payment) wire.AdminPayment {
	return wire.AdminPayment{
		ID: p.ID, UserID: p.UserID, PlanID: p.PlanID, Periods: p.Periods, Amount: p.Amount, Currency: p.Currency,
		CreatedAt: wire.Seconds(p.CreatedAt),
	}
}
