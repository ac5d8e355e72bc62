package web

import (
	"time"

	"stile/vpn"
)

// fleetRow is a server with its node.
type fleetRow struct {
	vpn.Server
	State          vpn.NodeState
	Active         int // connections
	Load           int // of the machine's processors, 0–100
	Sessions       int
	SeenAt         time.Time
	CertifiedUntil time.Time // zero for an embedded node
	Version        string
	Lag            int64 // revisions behind
	RefusedKeys    int   // that the node holds and does not honour
	// IsMember: a node has joined, so it can be revoked.
	IsMember bool
}

// certificateWarning is how long before its end a certificate is worth a word: nodes renew theirs much earlier.
const certificateWarning = 7 * 24 * time.Hour

// EndsSoon reports that the node's certificate should have been renewed.
func (r *fleetRow) EndsSoon(now time.Time) bool {
	return !r.CertifiedUntil.IsZero() && r.CertifiedUntil.Sub(now) < certificateWarning
}

// place is where the row's server is on the map.
func (r *fleetRow) place() place {
	p := place{name: r.Name, latitude: r.Latitude, longitude: r.Longitude, state: "idle"}
	switch {
	case r.State == vpn.NodeOffline || r.State == vpn.NodeRevoked:
		p.state = "bad"
	case r.State == vpn.NodeOnline && (r.Server.State != vpn.ServerActive || r.Load >= busyLoad):
		p.state = "busy"
	case r.State == vpn.NodeOnline:
		p.state = "good"
	}
	return p
}

// busyLoad is from where on a node counts as busy, in percent.
const busyLoad = 85

// fleet returns all servers with their nodes, in the order of their ids.
func (s *Site) fleet(v *visit) ([]fleetRow, error) {
	reports, err := s.service.NodeReports(v.r.Context(), v.actor)
	if err != nil {
		return nil, err
	}
	now, rows := s.service.Now(), make([]fleetRow, len(reports))
	for i := range reports {
		rows[i] = fleetRowOf(&reports[i], now)
	}
	return rows, nil
}

// fleetRowOf joins what a node said with what is live here.
func fleetRowOf(r *vpn.NodeReport, now time.Time) fleetRow {
	row := fleetRow{
		Server: r.Server, State: r.State(now), SeenAt: r.Status.At, CertifiedUntil: r.Identity.CertifiedUntil, Version: r.Status.Version,
		RefusedKeys: len(r.Status.Refused.All()),
		IsMember:    !r.Identity.JoinedAt.IsZero() && r.Identity.RevokedAt.IsZero(),
	}
	if row.State != vpn.NodeOnline {
		return row
	}
	row.Active, row.Load, row.Sessions, row.Lag = r.Status.ActiveDevices, r.Status.Load, r.Status.Sessions, r.Lag()
	if r.IsEmbedded() { // what is live here is newer than what was written down
		row.Active, row.Lag = r.Listed.ActiveConnections, 0
	}
	return row
}
