package api

import (
	"cmp"
	"context"
	"math"
	"strconv"

	"stile/vpn"
	"stile/wire"
)

// adminServers returns every server with its live state.
func (a *API) adminServers(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.Page[wire.AdminServer, int64], error) {
	servers, err := a.service.AllServers(ctx, actor)
	if err != nil {
		return nil, err
	}
	return &wire.Page[wire.AdminServer, int64]{Data: eachOf(servers, adminServerOf)}, nil
}

func adminServerOf(s *vpn.ListedServer) wire.AdminServer {
	return wire.AdminServer{
		ID: s.ID, Name: s.Name, Country: s.CountryCode, City: wire.Texts(s.City), Latitude: s.Latitude, Longitude: s.Longitude,
		Host: s.Host, PingURL: s.PingURL, Tier: s.Tier, Capacity: s.Capacity, State: string(s.State), Protocols: protocolNames(s.Protocols),
		ShadowsocksPort: s.ShadowsocksPort, ShadowsocksPorts: s.ShadowsocksPorts, ShadowsocksMethod: s.ShadowsocksMethod, HTTPSPort: s.HTTPSPort,
		Status: string(s.Status), ActiveConnections: s.ActiveConnections, Load: s.Load,
	}
}

// serverInput is the input of POST /api/admin/servers and PUT /api/admin/servers/{id}: all values of a server.
type serverInput struct{ vpn.Server }

func (s *serverInput) read(in *input) {
	s.ID, s.Name, s.CountryCode = in.x.pathID(), in.text("name", true), in.text("country", true)
	s.City = vpn.Text{RU: in.text("city_ru", false), EN: in.text("city_en", false)}
	s.Latitude, s.Longitude = in.decimal("latitude"), in.decimal("longitude")
	s.Host, s.PingURL, s.State = in.text("host", true), in.text("ping_url", false), vpn.ServerState(in.text("state", false))
	s.Tier, s.Capacity = in.count("tier", false), in.count("capacity", false)
	s.ShadowsocksPort, s.ShadowsocksPorts = in.count("shadowsocks_port", true), in.count("shadowsocks_ports", false)
	s.ShadowsocksMethod, s.HTTPSPort = in.text("shadowsocks_method", false), in.count("https_port", false)
	if s.ShadowsocksPorts == 0 {
		s.ShadowsocksPorts = 1
	}
}

// decimal reads a number, 0 when it is absent.
func (in *input) decimal(name string) float64 {
	v := in.field(name, false)
	if v.kind == kindAbsent {
		return 0
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) || (v.kind != kindText && v.kind != kindNumber) {
		in.fault(name, "in", 0)
	}
	return f
}

// addServer makes a server.
func (a *API) addServer(ctx context.Context, actor *vpn.Actor, in serverInput) (*wire.AdminServer, error) {
	s, err := a.service.AddServer(ctx, actor, in.Server)
	if err != nil {
		return nil, spelled(err, serverFields)
	}
	return a.serverByID(ctx, actor, s.ID)
}

// updateServer replaces a server's values. Without a state it stays as it is.
func (a *API) updateServer(ctx context.Context, actor *vpn.Actor, in serverInput) (*wire.AdminServer, error) {
	servers, err := a.service.AllServers(ctx, actor)
	if err != nil {
		return nil, err
	}
	for i := range servers {
		if old := &servers[i]; old.ID == in.ID {
			in.State = cmp.Or(in.State, old.State)
		}
	}
	if err := a.service.UpdateServer(ctx, actor, in.Server); err != nil {
		return nil, spelled(err, serverFields)
	}
	return a.serverByID(ctx, actor, in.ID)
}

// serverByID returns a server as it is now.
func (a *API) serverByID(ctx context.Context, actor *vpn.Actor, id int64) (*wire.AdminServer, error) {
	servers, err := a.service.AllServers(ctx, actor)
	if err != nil {
		return nil, err
	}
	for i := range servers {
		if servers[i].ID == id {
			s := adminServerOf(&servers[i])
			return &s, nil
		}
	}
	return nil, vpn.Refusal(vpn.CodeNotFound) // removed in between
}

// stateInput is the input of PATCH /api/admin/servers/{id}.
type stateInput struct {
	id    int64
	state vpn.ServerState
}

func (s *stateInput) read(in *input) {
	s.id, s.state = in.x.pathID(), vpn.ServerState(in.text("state", true))
}

// setServerState opens, closes or drains a server.
func (a *API) setServerState(ctx context.Context, actor *vpn.Actor, in stateInput) (*wire.AdminServer, error) {
	if err := a.service.SetServerState(ctx, actor, in.id, in.state); err != nil {
		return nil, err
	}
	return a.serverByID(ctx, actor, in.id)
}

// removeServer deletes a server; its keys die at once.
func (a *API) removeServer(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.RemoveServer(ctx, actor, in.id)
}

// nodes returns the machines behind the servers.
func (a *API) nodes(ctx context.Context, actor *vpn.Actor, _ nothing) (*wire.Page[wire.AdminNode, int64], error) {
	nodes, err := a.service.FleetNodes(ctx, actor)
	if err != nil {
		return nil, err
	}
	out := &wire.Page[wire.AdminNode, int64]{Data: make([]wire.AdminNode, len(nodes))}
	for i := range nodes {
		n := &nodes[i]
		out.Data[i] = wire.AdminNode{
			ID: n.Server.ID, Name: n.Server.Name, IsOnline: n.Live.IsOnline, ActiveDevices: n.Live.ActiveDevices,
			HeardAt: wire.SecondsOrNull(n.Live.At), Keys: n.Position.Count, Revision: n.Position.Rev,
			SeenAt: wire.SecondsOrNull(n.Report.Status.At), Confirmed: n.Report.Status.Applied, Lag: n.Report.Lag(), Version: orNull(n.Report.Status.Version),
			Load: n.Report.Status.Load, Sessions: n.Report.Status.Sessions, RefusedKeys: len(n.Report.Status.Refused.All()),
			JoinedAt: wire.SecondsOrNull(n.Report.Identity.JoinedAt), RevokedAt: wire.SecondsOrNull(n.Report.Identity.RevokedAt),
			CertifiedUntil: wire.SecondsOrNull(n.Report.Identity.CertifiedUntil),
		}
	}
	return out, nil
}

// joinNode makes the line by which a machine joins as a server's node.
func (a *API) joinNode(ctx context.Context, actor *vpn.Actor, in named) (wire.AdminJoin, error) {
	var line string
	if a.config.JoinLine != nil {
		var err error
		if line, err = a.config.JoinLine(ctx, actor, in.id); err != nil {
			return wire.AdminJoin{}, err
		}
	}
	if line == "" {
		return wire.AdminJoin{}, vpn.Refusal(vpn.CodeNotConfigured)
	}
	return wire.AdminJoin{Line: line, ExpiresAt: wire.Seconds(a.service.Now().Add(vpn.JoinLife))}, nil
}

// revokeNode shuts a node out until it joins anew.
func (a *API) revokeNode(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.RevokeNode(ctx, actor, in.id)
}

// statsInput is the input of GET /api/admin/stats.
type statsInput struct{ days int }

// maxStatsDays is how far back the traffic by day goes.
const maxStatsDays = 366

func (s *statsInput) read(in *input) {
	if s.days = in.count("days", false); s.days < 0 || s.days > maxStatsDays {
		in.fault("days", "in", 0)
	}
	if s.days == 0 {
		s.days = 30
	}
}

// stats returns the service at a glance.
func (a *API) stats(ctx context.Context, actor *vpn.Actor, in statsInput) (*wire.AdminStats, error) {
	st, err := a.service.Stats(ctx, actor, in.days)
	if err != nil {
		return nil, err
	}
	c := &st.Counts
	out := &wire.AdminStats{
		Users: c.Users, Blocked: c.Blocked, Subscribed: c.Subscribed, Expired: c.Expired, Devices: c.Devices,
		CountedAt: wire.Seconds(st.CountedAt), ActiveConnections: st.ActiveDevices, Nodes: len(st.Servers), NodesOnline: st.NodesOnline,
		Traffic: make([]wire.AdminNodeDay, len(st.Traffic)),
	}
	for i, d := range st.Traffic {
		out.Traffic[i] = wire.AdminNodeDay{NodeID: d.NodeID, AdminDay: dayOf(d.Day, d.Up, d.Down)}
	}
	return out, nil
}
