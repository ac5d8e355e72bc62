package cli

import (
	"context"
	"fmt"
	"time"

	"stile/vpn"
)

// VoucherCmd is `stile voucher`.
type VoucherCmd struct {
	Add    VoucherAddCmd    `cmd:"" help:"Make codes that give periods of a plan."`
	List   VoucherListCmd   `cmd:"" help:"List vouchers, the newest first."`
	Remove VoucherRemoveCmd `cmd:"" help:"Delete a voucher; what it gave stays given."`
}

// VoucherAddCmd is `stile voucher add`.
type VoucherAddCmd struct {
	databaseFlags
	Plan    string `arg:"" help:"Code of the plan."`
	Periods int    `range:"1..1200" default:"1" help:"How many periods a code gives."`
	Uses    int    `range:"1..1000000" default:"1" help:"How many accounts may redeem a code, each once."`
	Count   int    `range:"1..10000" default:"1" help:"How many codes to make."`
	Days    int    `range:"0..36500" help:"Codes expire after this many days; 0 is never."`
	Note    string `help:"What they are for; shown to operators."`
}

// Run makes the codes.
func (c *VoucherAddCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		in := vpn.NewVouchers{Plan: c.Plan, Periods: c.Periods, Uses: c.Uses, Count: c.Count, Note: c.Note}
		if c.Days != 0 {
			in.ExpiresAt = time.Now().AddDate(0, 0, c.Days)
		}
		codes, err := s.AddVouchers(ctx, shell, in)
		if err != nil {
			return err
		}
		for _, code := range codes {
			t.printf("%s\n", code)
		}
		t.notef("Each code is shown this once.\n")
		return nil
	})
}

// VoucherListCmd is `stile voucher list`.
type VoucherListCmd struct {
	databaseFlags
	Limit int  `range:"1..100000" default:"100" help:"How many at the most."`
	JSON  bool `name:"json" help:"Print JSON."`
}

type voucherRow struct {
	ID        int64      `json:"id"`
	Plan      string     `json:"plan"`
	Periods   int        `json:"periods"`
	Uses      int        `json:"uses"`
	Used      int        `json:"used"`
	Note      string     `json:"note"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// Run lists the vouchers.
func (c *VoucherListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		vouchers, err := s.Vouchers(ctx, shell, 0, c.Limit)
		if err != nil {
			return err
		}
		plans, err := s.Plans(ctx, shell)
		if err != nil {
			return err
		}
		names := make(map[int64]string, len(plans))
		for i := range plans {
			names[plans[i].ID] = plans[i].Code
		}
		rows := make([]voucherRow, 0, len(vouchers))
		cells := make([][]string, 0, len(vouchers))
		for _, v := range vouchers {
			r := voucherRow{ID: v.ID, Plan: names[v.PlanID], Periods: v.Periods, Uses: v.Uses, Used: v.Used, Note: v.Note}
			expires := "never"
			if !v.ExpiresAt.IsZero() {
				r.ExpiresAt, expires = &v.ExpiresAt, v.ExpiresAt.Format(time.DateOnly)
			}
			rows = append(rows, r)
			cells = append(cells, []string{id(r.ID), r.Plan, fmt.Sprint(r.Periods), fmt.Sprintf("%d/%d", r.Used, r.Uses), expires, clean(r.Note)})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"ID", "PLAN", "PERIODS", "USED", "EXPIRES", "NOTE"}, cells)
		return nil
	})
}

// VoucherRemoveCmd is `stile voucher remove`.
type VoucherRemoveCmd struct {
	databaseFlags
	ID int64 `arg:"" name:"id" help:"Number of the voucher, as 'stile voucher list' shows it."`
}

// Run deletes the voucher.
func (c *VoucherRemoveCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if err := s.RemoveVoucher(ctx, shell, c.ID); err != nil {
			return unfound(err, "voucher "+id(c.ID), "voucher list")
		}
		t.printf("Voucher %d is deleted.\n", c.ID)
		return nil
	})
}
