package web

import (
	"testing"
	"time"

	"stile/vpn"
)

// The embedded node's load and sessions are what it says, as of any node; its connections are those of this moment.
func TestTheEmbeddedNodeHasALoad(t *testing.T) {
	now := time.Now()
	r := vpn.NodeReport{
		Rev: 7, Status: vpn.NodeStream{IsOnline: true, At: now, Applied: 6, Load: 40, ActiveDevices: 2, Sessions: 30},
		Listed: vpn.ListedServer{ActiveConnections: 3},
	}
	if row := fleetRowOf(&r, now); row.Load != 40 || row.Sessions != 30 || row.Active != 3 || row.Lag != 0 {
		t.Errorf("%+v", row)
	}
	r.Identity = vpn.NodeIdentity{NodeID: 1, JoinedAt: now}
	if row := fleetRowOf(&r, now); row.Load != 40 || row.Sessions != 30 || row.Active != 2 || row.Lag != 1 {
		t.Errorf("one that joined: %+v", row)
	}
	r.Status.IsOnline = false
	if row := fleetRowOf(&r, now); row.Load+row.Sessions+row.Active != 0 {
		t.Errorf("one that is away: %+v", row)
	}
}
