package web

import (
	"math"
	"net/http"
	"strconv"
	"strings"

	"stile/vpn"
)

// paymentsPage is the payments that were taken, the newest first. Nobody changes them here.
type paymentsPage struct {
	Payments []paymentRow
	// Before is the id after which the page begins, Next that of the following one; "" = at the newest, and none.
	Before, Next string
}

// paymentRow is a payment with what its numbers stand for.
type paymentRow struct {
	vpn.Payment
	Email string // "" when the account is gone
	Plan  vpn.Text
	Money string // "" when nothing was said of it
}

func (s *Site) payments(v *visit) error {
	p := paymentsPage{Before: v.clean(v.r.URL.Query().Get("before"))}
	all, err := s.service.Payments(v.r.Context(), v.actor, vpn.PaymentFilter{Before: p.Before, Limit: pageRows + 1})
	if err != nil {
		return err
	}
	if len(all) > pageRows {
		all = all[:pageRows]
		p.Next = all[pageRows-1].ID
	}
	if p.Payments, err = s.paymentRows(v, all); err != nil {
		return err
	}
	return v.page(http.StatusOK, "payments", p)
}

// paymentRows looks up what the numbers of payments stand for.
func (s *Site) paymentRows(v *visit, all []vpn.Payment) ([]paymentRow, error) {
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return nil, err
	}
	names := make(map[int64]vpn.Text, len(plans))
	for i := range plans {
		names[plans[i].ID] = plans[i].Name
	}
	who := make([]int64, len(all))
	for i := range all {
		who[i] = all[i].UserID
	}
	emails, err := s.service.Emails(v.r.Context(), v.actor, who)
	if err != nil {
		return nil, err
	}
	rows := make([]paymentRow, len(all))
	for i := range all {
		rows[i] = paymentRow{all[i], emails[all[i].UserID], names[all[i].PlanID], money(all[i].Amount, all[i].Currency)}
	}
	return rows, nil
}

// wholeCurrencies have no smaller unit (ISO 4217); thousandths those of three digits. All others have hundredths.
var (
	wholeCurrencies = []string{"BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
	thousandths     = []string{"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
)

// money is an amount of the smallest unit of a currency; "" without a currency.
func money(amount int64, currency string) string {
	currency = strings.ToUpper(currency)
	if currency == "" {
		return ""
	}
	digits := 2
	for n, list := range map[int][]string{0: wholeCurrencies, 3: thousandths} {
		for _, c := range list {
			if c == currency {
				digits = n
			}
		}
	}
	return strconv.FormatFloat(float64(amount)/math.Pow10(digits), 'f', digits, 64) + "\u00a0" + currency
}
