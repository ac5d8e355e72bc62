package vpn

import "time"

// Text is a text in the two languages of the service.
type Text struct{ RU, EN string }

// In returns the text in a language ("en" or anything else for Russian), or the other one when it has none.
func (t Text) In(lang string) string {
	if (lang == "en" && t.EN != "") || t.RU == "" {
		return t.EN
	}
	return t.RU
}

// Plan is what a subscription buys.
type Plan struct {
	ID   int64
	Code string // unique; a-z, 0-9, and behind the first also - _ . (older plans may have others, in lower case)
	Name Text
	// Tier opens the servers of the same and lower tiers.
	Tier int
	// PeriodDays is the length of one period; 0 = for life.
	PeriodDays int
	// GraceDays is how long keys go on working after the expiry.
	GraceDays   int
	IsTrial     bool
	DeviceLimit int
	// TrafficLimit is in bytes a month, counted from the start of the subscription; 0 = unlimited.
	TrafficLimit int64
	// TrafficByPeriod counts TrafficLimit for each period instead, where the plan is not for life.
	TrafficByPeriod bool
	// SpeedLimitMbps is per device and direction, in 10^6 bits a second; 0 = unlimited.
	SpeedLimitMbps int
	// StartsAtFirstUse lets a period begin with the first key instead of at once.
	StartsAtFirstUse bool
	// NextPlanID is the plan that follows, for one period, when a subscription and its grace have ended; 0 = none.
	NextPlanID int64
	CreatedAt  time.Time
}

// Limits of a key that follow from the plan.
func (p Plan) limits() KeyLimits {
	bps := int64(p.SpeedLimitMbps) * 1_000_000 / 8
	return KeyLimits{UpBytesPerSecond: bps, DownBytesPerSecond: bps}
}
