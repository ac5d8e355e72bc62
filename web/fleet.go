package web

import (
	"time"

	"stile/vpn"
)

// The states of a node.
const (
	nodeOnline  = "online"
	nodeOffline = "offline"
	nodeRevoked = "revoked"
	nodeWaiting = "waiting" // a token was made and not used
	nodeNone    = "none"    // nobody ever asked for a token: it can only be embedded in a service, and in none that runs
)

// fleetRow is a server with its node.
type fleetRow struct {
	vpn.Server
	State          string
	Active         int // connections
	Load           int // 0–100
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
	case r.State == nodeOffline || r.State == nodeRevoked:
		p.state = "bad"
	case r.State == nodeOnline && (r.Server.State != vpn.ServerActive || r.Load >= busyLoad):
		p.state = "busy"
	case r.State == nodeOnline:
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
		Server: r.Server, SeenAt: r.Status.At, CertifiedUntil: r.Identity.CertifiedUntil, Version: r.Status.Version,
		RefusedKeys: len(r.Status.Refused.All()),
		IsMember:    !r.Identity.JoinedAt.IsZero() && r.Identity.RevokedAt.IsZero(),
	}
	switch {
	case r.Identity.NodeID == 0:
		row.State = nodeNone
		if r.Listed.Status != vpn.StatusOffline {
			row.State, row.Active, row.Load = nodeOnline, r.Listed.ActiveConnections, r.Listed.Load
		}
	case !r.Identity.RevokedAt.IsZero():
		row.State = nodeRevoked
	case r.Identity.JoinedAt.IsZero():
		row.State = nodeWaiting
	case !r.IsOnline(now):
		row.State = nodeOffline
	default:
		row.State, row.Active, row.Load, row.Sessions, row.Lag = nodeOnline, r.Status.ActiveDevices, r.Status.Load, r.Status.Sessions, r.Lag()
	}
	return row
}
