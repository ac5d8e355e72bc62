package vpn

import (
	"testing"
	"time"
)

func TestTrafficCountsForTheDayItWasReportedOn(t *testing.T) {
	now := time.Date(2026, 3, 14, 0, 5, 0, 0, time.UTC)
	today, yesterday := now.Truncate(day), now.Truncate(day).Add(-day)
	for name, c := range map[string]struct{ end, want time.Time }{
		"now":                  {now, today},
		"before midnight":      {now.Add(-6 * time.Minute), yesterday},
		"after a long outage":  {now.Add(-oldestUsage), today.Add(-oldestUsage)},
		"one past that":        {now.Add(-oldestUsage - time.Millisecond), today},
		"a clock a year ahead": {now.Add(365 * day), today},
		"no time at all":       {time.Time{}, today},
		"another zone":         {now.Add(-6 * time.Minute).In(time.FixedZone("", 3600)), yesterday},
	} {
		if got := usageDay(c.end, now); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
