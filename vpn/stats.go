package vpn

import (
	"context"
	"slices"
	"time"
)

// Counts are how many there are of what.
type Counts struct {
	Users      int64
	Blocked    int64
	Subscribed int64 // Expired ones among them
	Expired    int64 // past the expiry, in grace or over
	Devices    int64
}

// NodeDay is the traffic of one node on one day (midnight UTC), in bytes.
type NodeDay struct {
	Day    time.Time
	NodeID int64
	Up     int64
	Down   int64
}

// Stats is the service at a glance.
type Stats struct {
	Counts Counts
	// CountedAt is when Counts were counted: counting a million takes a while, so they are kept for some seconds.
	CountedAt time.Time
	// ActiveDevices had traffic in the last 180 seconds, on all nodes.
	ActiveDevices int
	NodesOnline   int
	Servers       []ListedServer
	// Traffic is of the last days, by day and node.
	Traffic []NodeDay
}

// countsTTL is how long Counts are kept.
const countsTTL = 10 * time.Second

// Stats returns the service at a glance, with the traffic of so many days.
func (s *Service) Stats(ctx context.Context, a *Actor, days int) (Stats, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return Stats{}, err
	}
	var st Stats
	var err error
	if st.Servers, err = s.AllServers(ctx, a); err != nil {
		return st, err
	}
	for i := range st.Servers {
		live := s.nodes.Live(st.Servers[i].ID)
		st.ActiveDevices += live.ActiveDevices
		if live.IsOnline {
			st.NodesOnline++
		}
	}
	now := s.now()
	if st.Traffic, err = s.store.Traffic(ctx, now.AddDate(0, 0, 1-days)); err != nil {
		return st, err
	}
	st.Counts, st.CountedAt, err = s.counts(ctx, now)
	return st, err
}

// DayTraffic returns the traffic of all nodes by day over the last days, the latest first.
func (s *Service) DayTraffic(ctx context.Context, a *Actor, days int) ([]DayUsage, error) {
	if err := a.may(NounUsers, Read); err != nil {
		return nil, err
	}
	nodes, err := s.store.Traffic(ctx, s.now().AddDate(0, 0, 1-days))
	if err != nil {
		return nil, err
	}
	var sums []DayUsage
	for i := range slices.Backward(nodes) {
		n := &nodes[i]
		if len(sums) == 0 || !sums[len(sums)-1].Day.Equal(n.Day) {
			sums = append(sums, DayUsage{Day: n.Day})
		}
		sums[len(sums)-1].Up += n.Up
		sums[len(sums)-1].Down += n.Down
	}
	return sums, nil
}

// counts returns the kept counts, or counts anew. Callers who come meanwhile wait for the one who counts.
func (s *Service) counts(ctx context.Context, now time.Time) (Counts, time.Time, error) {
	c := &s.counted
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return Counts{}, time.Time{}, ctx.Err()
	}
	if age := now.Sub(c.at); c.at.IsZero() || age >= countsTTL || age < 0 {
		counts, err := s.store.Counts(ctx, now)
		if err != nil {
			return Counts{}, time.Time{}, err
		}
		c.counts, c.at = counts, now
	}
	return c.counts, c.at, nil
}

// counted are the counts that are kept. Whoever has put something into turn may use the rest.
type counted struct {
	turn   chan struct{}
	counts Counts
	at     time.Time
}
