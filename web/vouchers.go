package web

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stile/vpn"
)

// maxCodes is how many codes the console makes at once: so many that the page stays small.
const maxCodes = 500

// vouchersPage lists vouchers, the newest first.
type vouchersPage struct {
	Vouchers []vpn.Voucher
	// Before is where the page begins, Next where the following one does; 0 = at the newest, and none.
	Before, Next int64
	Plans        []vpn.Plan
	Names        map[int64]vpn.Text // of plans
	Form         voucherForm
	// Codes are new ones, shown this once; File is the same as a file to keep.
	Codes string
	Rows  int
	File  template.URL
	Now   time.Time
}

// voucherForm is what codes are to be made of.
type voucherForm struct {
	Plan, Periods, Uses, Count, Days, Note string
	Problem                                problem
}

func (s *Site) vouchers(v *visit) error {
	return s.showVouchers(v, http.StatusOK, vouchersPage{Form: voucherForm{Periods: "1", Uses: "1", Count: "1", Days: "0"}})
}

func (s *Site) showVouchers(v *visit, status int, p vouchersPage) error {
	p.Before, _ = strconv.ParseInt(v.r.URL.Query().Get("before"), 10, 64)
	p.Before, p.Now = max(0, p.Before), s.service.Now()
	var err error
	if p.Vouchers, err = s.service.Vouchers(v.r.Context(), v.actor, p.Before, pageRows+1); err != nil {
		return err
	}
	if len(p.Vouchers) > pageRows {
		p.Vouchers = p.Vouchers[:pageRows]
		p.Next = p.Vouchers[pageRows-1].ID
	}
	if p.Plans, err = s.service.Plans(v.r.Context(), v.actor); err != nil {
		return err
	}
	p.Names = make(map[int64]vpn.Text, len(p.Plans))
	for i := range p.Plans {
		p.Names[p.Plans[i].ID] = p.Plans[i].Name
	}
	return v.page(status, "vouchers", p)
}

// addVouchers makes codes and shows them once.
func (s *Site) addVouchers(v *visit) error {
	form := voucherForm{
		Plan: v.form("plan"), Periods: v.form("periods"), Uses: v.form("uses"), Count: v.form("count"), Days: v.form("days"), Note: v.form("note"),
	}
	codes, err := s.makeVouchers(v, &form)
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showVouchers(v, status, vouchersPage{Form: form})
		})
	}
	text := codesText(codes)
	return s.showVouchers(v, http.StatusCreated, vouchersPage{
		Form: form, Codes: text, Rows: min(len(codes)+1, 12), File: template.URL("data:text/plain;charset=utf-8," + url.PathEscape(text)), //nolint:gosec // made of letters, digits and hyphens
	})
}

func (s *Site) makeVouchers(v *visit, f *voucherForm) ([]string, error) {
	in, days := vpn.NewVouchers{Plan: f.Plan, Note: f.Note}, 0
	for _, field := range []struct {
		name, text string
		to         *int
	}{{"periods", f.Periods, &in.Periods}, {"uses", f.Uses, &in.Uses}, {"count", f.Count, &in.Count}, {"days", f.Days, &days}} {
		if err := readWhole(field.name, field.text, field.to); err != nil {
			return nil, err
		}
	}
	const century = 36_500
	switch {
	case in.Count > maxCodes:
		return nil, notIn("count")
	case days > century:
		return nil, notIn("days")
	case days > 0:
		in.ExpiresAt = s.service.Now().AddDate(0, 0, days)
	}
	return s.service.AddVouchers(v.r.Context(), v.actor, in)
}

func (s *Site) removeVoucher(v *visit) error {
	if err := s.service.RemoveVoucher(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done("/admin/vouchers", "voucher_removed")
}
