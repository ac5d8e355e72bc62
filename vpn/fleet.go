package vpn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strings"

	"stile/accesskey"
)

// AddServer makes a server. CodeValidationFailed names the field; CodeConflict when the name is taken.
func (s *Service) AddServer(ctx context.Context, a *Actor, server Server) (Server, error) {
	if err := a.may(NounServers, Write); err != nil {
		return Server{}, err
	}
	if err := checkServer(&server); err != nil {
		return Server{}, err
	}
	if !isCountry(server.CountryCode) {
		return Server{}, invalid("country", "in")
	}
	added, err := s.store.AddServer(ctx, server, a.audit("server.add", 0))
	if errors.Is(err, ErrTaken) {
		return Server{}, &Error{Code: CodeConflict, Field: "name", Rule: "unique"}
	}
	s.directory.drop()
	return added, err
}

func checkServer(server *Server) error {
	server.CountryCode = strings.ToUpper(server.CountryCode)
	switch {
	case strings.TrimSpace(server.Name) == "":
		return invalid("name", "required")
	case isLong(server.Name):
		return tooLong("name", maxName)
	case isLong(server.City.RU) || isLong(server.City.EN):
		return tooLong("city", maxName)
	case len(server.CountryCode) != 2:
		return invalid("country", "in")
	case server.Host == "":
		return invalid("host", "required")
	case !accesskey.IsHost(server.Host):
		return invalid("host", "in")
	case server.PingURL != "" && !isPing(server.PingURL):
		return invalid("ping_url", "url")
	case !(math.Abs(server.Latitude) <= 90): // as what is no number at all
		return invalid("latitude", "in")
	case !(math.Abs(server.Longitude) <= 180):
		return invalid("longitude", "in")
	case server.Capacity < 0 || server.Capacity > math.MaxInt32:
		return invalid("capacity", "in")
	case server.Tier < 0 || server.Tier > math.MaxInt32:
		return invalid("tier", "in")
	}
	switch server.State {
	case "":
		server.State = ServerActive
	case ServerActive, ServerMaintenance, ServerDrained:
	default:
		return invalid("state", "in")
	}
	server.ShadowsocksMethod = cmp.Or(server.ShadowsocksMethod, accesskey.MethodAES256GCM)
	server.Protocols = server.Ports().Protocols()
	return server.Ports().check()
}

// isPing reports whether clients can time an address.
func isPing(address string) bool {
	u, err := url.Parse(address)
	return err == nil && isLink(address, "http", "https") && accesskey.IsHost(u.Hostname())
}

// UpdateServer replaces a server's values by its id; if its tier changes, the keys on it follow. Other ports are published as its
// node's configuration, where the node takes any: they are the server's when the node serves them. CodeRolloutState when
// another roll-out is not ended.
func (s *Service) UpdateServer(ctx context.Context, a *Actor, server Server) error {
	if err := a.may(NounServers, Write); err != nil {
		return err
	}
	if err := checkServer(&server); err != nil {
		return err
	}
	if err := s.checkCountry(ctx, &server); err != nil {
		return err
	}
	if err := s.movePorts(ctx, a, &server); err != nil {
		return err
	}
	err := s.store.UpdateServer(ctx, server, a.audit("server.update", server.ID))
	s.directory.drop()
	if errors.Is(err, ErrTaken) {
		return &Error{Code: CodeConflict, Field: "name", Rule: "unique"}
	}
	if err != nil {
		return notFound(err)
	}
	if err := s.sweepSoon(ctx); err != nil {
		return fmt.Errorf("server saved, keys not yet: %w", err)
	}
	return nil
}

// checkCountry refuses a code that is no country's, but for one that the server has already: who changes something else of it need
// not mend that.
func (s *Service) checkCountry(ctx context.Context, server *Server) error {
	if isCountry(server.CountryCode) {
		return nil
	}
	known, err := s.NodeServer(ctx, server.ID)
	if errors.Is(err, ErrNotMember) {
		return Refusal(CodeNotFound)
	}
	if err == nil && known.CountryCode != server.CountryCode {
		err = invalid("country", "in")
	}
	return err
}

// movePorts publishes a server's ports, if its node takes configurations and neither serves these nor is about to: who changes
// something else of a server while a roll-out goes on names the ports that it has still.
func (s *Service) movePorts(ctx context.Context, a *Actor, server *Server) error {
	node, err := s.store.ConfiguredNode(ctx, server.ID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	ports := server.Ports()
	if err != nil || ports == node.due() || ports == node.NodePorts {
		return err
	}
	_, err = s.PublishConfig(ctx, a, Publication{ServerIDs: []int64{server.ID}, KeepOld: DefaultKeepOld, Change: ConfigChange{
		ShadowsocksPort: ports.Shadowsocks, ShadowsocksPorts: ports.Count, Method: ports.Method, HTTPSPort: &ports.HTTPS,
	}})
	return err
}

// RemoveServer deletes a server; its keys die at once.
func (s *Service) RemoveServer(ctx context.Context, a *Actor, id int64) error {
	if err := a.may(NounServers, Write); err != nil {
		return err
	}
	nodes, err := s.store.RemoveServer(ctx, id, a.audit("server.remove", id))
	s.directory.drop()
	s.nodes.Wake(nodes...)
	return notFound(err)
}

// AllServers returns every server, also those that are in no list, with the live state.
func (s *Service) AllServers(ctx context.Context, a *Actor) ([]ListedServer, error) {
	if err := a.may(NounServers, Read); err != nil {
		return nil, err
	}
	servers, err := s.store.Servers(ctx)
	if err != nil {
		return nil, err
	}
	return s.listed(servers), nil
}

// SetServerState opens, closes or drains a server; its keys stay.
func (s *Service) SetServerState(ctx context.Context, a *Actor, id int64, state ServerState) error {
	if err := a.may(NounServers, Write); err != nil {
		return err
	}
	switch state {
	case ServerActive, ServerMaintenance, ServerDrained:
	default:
		return invalid("state", "in")
	}
	err := s.store.SetServerState(ctx, id, state, a.audit("server."+string(state), id))
	s.directory.drop()
	return notFound(err)
}

// FleetNode is a node as an operator sees it.
type FleetNode struct {
	Server   ListedServer
	Live     NodeLive
	Position NodePosition
	// Report is what was written down of the node.
	Report NodeReport
}

// FleetNodes returns every node with where its set of keys stands and how it is.
func (s *Service) FleetNodes(ctx context.Context, a *Actor) ([]FleetNode, error) {
	if err := a.may(NounNodes, Read); err != nil {
		return nil, err
	}
	reports, err := s.NodeReports(ctx, a)
	if err != nil {
		return nil, err
	}
	servers := make([]Server, len(reports))
	for i := range reports {
		servers[i] = reports[i].Server
	}
	listed := s.listed(servers)
	nodes := make([]FleetNode, 0, len(listed))
	for i := range listed {
		p, err := s.store.NodePosition(ctx, listed[i].ID)
		if errors.Is(err, ErrNotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, FleetNode{Server: listed[i], Live: s.nodes.Live(listed[i].ID), Position: p, Report: reports[i]})
	}
	return nodes, nil
}
