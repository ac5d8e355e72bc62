package web

import (
	"time"

	"stile/internal/locale"
	"stile/vpn"
)

// historyDays is how many days of traffic the overview shows.
const historyDays = 30

// overviewPage is the state of an account.
type overviewPage struct {
	*vpn.Overview
	Links    vpn.Links
	DaysLeft int
	HasEnd   bool
	// Percent is how much of the traffic is used, 0–100.
	Percent int
	Chart   chart
	Servers int // that are open to the user and online
	// Code is a voucher that was refused, with the Problem.
	Code    string
	Problem problem
}

func (s *Site) overview(v *visit) error { return s.showOverview(v, 200, overviewPage{}) }

// redeemVoucher gives the account what a voucher is for.
func (s *Site) redeemVoucher(v *visit) error {
	code := v.form("code")
	if _, err := s.service.RedeemVoucher(v.r.Context(), v.actor, code); err != nil {
		return v.retry(err, func(status int, p problem) error {
			return s.showOverview(v, status, overviewPage{Code: code, Problem: p})
		})
	}
	return v.done("/account", "voucher_redeemed")
}

func (s *Site) showOverview(v *visit, status int, p overviewPage) error {
	o, err := s.service.Overview(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	usage, err := s.service.Usage(v.r.Context(), v.actor, historyDays)
	if err != nil {
		return err
	}
	p.Overview, p.Links, p.Chart = o, s.service.Settings(v.r.Context()).Links, newChart(s.texts, v.lang, usage, o.Now)
	p.DaysLeft, p.HasEnd = o.Entitlement.DaysLeft(o.Now)
	p.Percent = percent(&o.Traffic)
	for i := range o.View.Servers {
		if l := &o.View.Servers[i]; l.Status == vpn.StatusOnline && l.LockedReason == "" {
			p.Servers++
		}
	}
	return v.page(status, "overview", p)
}

// chart is the traffic of the last days, as bars and as a table.
type chart struct {
	Width, Height int
	Lines         []chartLine
	Bars          []chartBar
	// Days are those with traffic, the latest first.
	Days  []vpn.DayUsage
	First time.Time
	Last  time.Time
	Total int64
}

// chartLine is a horizontal line with what it stands for.
type chartLine struct {
	Y     int
	Label string
}

// chartBar is one day: what came in stands on what went out.
type chartBar struct {
	X, Width        int
	DownY, DownHigh int
	UpY, UpHigh     int
	FullY, FullHigh int // the whole height, to point at
	Day             time.Time
	Down, Up        int64
}

// The chart's measures, in units of its own; it is scaled to the page.
const (
	chartWidth, chartHeight = 720, 220
	chartLeft, chartTop     = 64, 12
	chartBottom             = 8
	barPitch, barWidth      = 21, 13
)

// newChart draws the days up to today; days without traffic are bars of no height.
func newChart(t *texts, l locale.Lang, usage []vpn.DayUsage, now time.Time) chart {
	today := now.UTC().Truncate(24 * time.Hour)
	c := chart{Width: chartWidth, Height: chartHeight, First: today.AddDate(0, 0, 1-historyDays), Last: today}
	byDay := make(map[time.Time]vpn.DayUsage, len(usage))
	top := int64(0)
	for _, u := range usage {
		if u.Day.Before(c.First) {
			continue
		}
		byDay[u.Day] = u
		c.Days = append(c.Days, u)
		c.Total += u.Up + u.Down
		top = max(top, u.Up+u.Down)
	}
	top = niceTop(top)
	const full = chartHeight - chartTop - chartBottom
	scale := func(bytes int64) int { return int(float64(bytes) / float64(top) * full) }
	for i := range 3 {
		value := top * int64(2-i) / 2
		c.Lines = append(c.Lines, chartLine{Y: chartTop + full*i/2, Label: t.size(l, value)})
	}
	for i := range historyDays {
		u := byDay[c.First.AddDate(0, 0, i)]
		b := chartBar{
			X: chartLeft + 12 + i*barPitch, Width: barWidth, Day: c.First.AddDate(0, 0, i), Down: u.Down, Up: u.Up,
			DownHigh: scale(u.Down), UpHigh: scale(u.Up), FullY: chartTop, FullHigh: full,
		}
		b.UpY = chartTop + full - b.UpHigh
		b.DownY = b.UpY - b.DownHigh
		c.Bars = append(c.Bars, b)
	}
	return c
}

// niceTop is the next round number, at least a megabyte: the middle of the scale has two digits at most.
func niceTop(bytes int64) int64 {
	for power := int64(100_000); power < 1<<56; power *= 10 {
		for _, step := range []int64{10, 14, 20, 24, 30, 40, 50, 60, 80} {
			if bytes <= step*power {
				return step * power
			}
		}
	}
	return max(bytes, 1)
}
