package store

import (
	"math"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"stile/store/storetest"
	"stile/vpn"
)

// A node in foreign hands reports as much as it can, again and again: neither a user's quota nor anybody's sums turn over.
func TestTrafficNeverTurnsOver(t *testing.T) {
	if maxDayText != strconv.Itoa(maxDayBytes) {
		t.Error("the bound in SQL is another")
	}
	for name, dsn := range map[string]string{"SQLite": filepath.Join(t.TempDir(), "stile.db"), "PostgreSQL": storetest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			s := openInside(t, dsn)
			k := newKeyOf(t, s)
			plan, err := s.AddPlan(t.Context(), vpn.Plan{Name: vpn.Text{EN: "plan"}, TrafficLimit: 1 << 40}, vpn.Audit{})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.ChangeSubscription(t.Context(), k.UserID, func(*vpn.Entitlement) (vpn.Subscription, error) {
				return vpn.Subscription{UserID: k.UserID, PlanID: plan.ID, StartsAt: time.Now()}, nil
			}, vpn.Audit{})
			if err != nil {
				t.Fatal(err)
			}
			key, err := s.IssueKey(t.Context(), k, vpn.Audit{})
			if err != nil {
				t.Fatal(err)
			}
			today := time.Now()
			report := func(seq uint64) {
				t.Helper()
				_, isBooked, _, err := s.ApplyUsage(t.Context(), vpn.UsageReport{NodeID: k.ServerID, Stream: 1, Seq: seq, To: today,
					Entries: []vpn.UsageEntry{{KeyID: key.ID, Up: maxEntryBytes, Down: maxEntryBytes}}}, today)
				if err != nil || !isBooked {
					t.Fatalf("report %d: booked %v, %v", seq, isBooked, err)
				}
			}
			report(1)
			// As after some thousand more of them.
			err = s.write(t.Context(), "age", func(t *tx) error {
				for _, text := range []string{
					"UPDATE usage_day SET up = $1, down = $1", "UPDATE node_day SET up = $1, down = $1", "UPDATE subscription SET used_bytes = $1",
				} {
					if _, err := t.exec(text, int64(math.MaxInt64-maxEntryBytes)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			report(2)
			report(3)
			_, e, err := s.Standing(t.Context(), k.UserID)
			if err != nil || e.Subscription.UsedBytes < maxSumBytes {
				t.Errorf("used %d bytes, %v", e.Subscription.UsedBytes, err)
			}
			days, err := s.UserUsage(t.Context(), k.UserID, 30)
			if err != nil || len(days) != 1 || days[0].Up <= 0 || days[0].Down <= 0 {
				t.Errorf("usage by day: %+v, %v", days, err)
			}
			if traffic, err := s.Traffic(t.Context(), today.Add(-time.Hour)); err != nil || len(traffic) != 1 || traffic[0].Up <= 0 {
				t.Errorf("traffic of nodes: %+v, %v", traffic, err)
			}
			most := map[int64]*userTraffic{1: {}} // of the largest report
			for id := range int64(4096) {
				most[1].keys = append(most[1].keys, keyTraffic{id, traffic{maxEntryBytes, maxEntryBytes}})
			}
			err = s.write(t.Context(), "a month of eight such nodes", func(t *tx) error {
				for i := range 3 * 31 * 8 {
					if err := t.countNode(int64(1000+i%8), millis(midnight(today.AddDate(0, 0, -i%31))), most); err != nil {
						return err
					}
				}
				return nil
			})
			month, readErr := s.Traffic(t.Context(), today.AddDate(0, -2, 0))
			var total int64
			for _, d := range month {
				if d.NodeID < 1000 {
					continue
				}
				if d.Up < maxDayBytes || d.Down < maxDayBytes {
					t.Fatalf("the traffic of a node ended at %+v", d)
				}
				if total += d.Up + d.Down; total < 0 {
					t.Fatal("the traffic of a month turns over")
				}
			}
			if err != nil || readErr != nil || len(month) < 31*8 {
				t.Errorf("%d days of nodes, %v, %v", len(month), err, readErr)
			}
		})
	}
}
