package vpn

import (
	"testing"
	"time"
)

func TestStateOfANode(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	linked := NodeStream{IsOnline: true, At: now.Add(-time.Second)}
	gone := NodeStream{At: now.Add(-time.Second)}
	silent := NodeStream{IsOnline: true, At: now.Add(-statusHolds)}
	token := NodeIdentity{NodeID: 1}
	joined := NodeIdentity{NodeID: 1, JoinedAt: now}
	revoked := NodeIdentity{NodeID: 1, JoinedAt: now, RevokedAt: now}
	for _, c := range []struct {
		what       string
		report     NodeReport
		want       NodeState
		isEmbedded bool
	}{
		{"a server that nobody made a token for", NodeReport{}, NodeNone, false},
		{"a token that waits", NodeReport{Identity: token}, NodeWaiting, false},
		{"joined, and never heard of", NodeReport{Identity: joined}, NodeOffline, false},
		{"joined and linked", NodeReport{Identity: joined, Status: linked}, NodeOnline, false},
		{"joined and silent", NodeReport{Identity: joined, Status: silent}, NodeOffline, false},
		{"revoked", NodeReport{Identity: revoked, Status: linked}, NodeRevoked, false},
		{"embedded", NodeReport{Status: linked}, NodeOnline, true},
		{"embedded, its service stopped", NodeReport{Status: gone}, NodeOffline, true},
		{"embedded, its service killed", NodeReport{Status: silent}, NodeOffline, true},
		{"embedded, and not written down yet", NodeReport{Live: NodeLive{IsOnline: true, At: now}}, NodeOnline, true},
		{"embedded, while a token waits", NodeReport{Identity: token, Status: linked}, NodeOnline, true},
		{"stopped, while a token waits", NodeReport{Identity: token, Status: gone}, NodeWaiting, true},
	} {
		if got := c.report.State(now); got != c.want || c.report.IsEmbedded() != c.isEmbedded {
			t.Errorf("%s: %s, embedded %v", c.what, got, c.report.IsEmbedded())
		}
	}
}
