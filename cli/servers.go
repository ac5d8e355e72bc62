package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stile/client"
	"stile/wire"
)

// ServersCmd is `stile servers`.
type ServersCmd struct {
	Ping bool `help:"Time each server: best of three, at most 3 s."`
	JSON bool `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*ServersCmd) Help() string {
	return `The service lists the best first by load; --ping adds how far each is from here.

Example:

  $ stile servers --ping`
}

// timedServer is a server with its ping, as JSON.
type timedServer struct {
	wire.Server
	// PingMS is in milliseconds; null for a server that did not answer, absent without --ping.
	PingMS *float64 `json:"ping_ms"`
}

// Run lists the servers.
func (c *ServersCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if err != nil {
		return err
	}
	list, err := a.Servers(ctx)
	if err != nil {
		return a.remedy(err)
	}
	if !c.Ping {
		if c.JSON {
			return t.printJSON(list)
		}
		t.printServers(list.Data, nil)
		return nil
	}
	pings := client.PingAll(ctx, list.Data)
	if c.JSON {
		return t.printJSON(struct {
			Data []timedServer    `json:"data"`
			Meta wire.ServersMeta `json:"meta"`
		}{timed(list.Data, pings), list.Meta})
	}
	t.printServers(list.Data, pings)
	return nil
}

func timed(servers []wire.Server, pings map[int64]time.Duration) []timedServer {
	out := make([]timedServer, len(servers))
	for i, s := range servers {
		out[i].Server = s
		if ping, ok := pings[s.ID]; ok {
			ms := float64(ping.Microseconds()) / 1000
			out[i].PingMS = &ms
		}
	}
	return out
}

// printServers writes a table of servers; with pings nil, without that column.
func (t *Terminal) printServers(servers []wire.Server, pings map[int64]time.Duration) {
	head := []string{"ID", "NAME", "COUNTRY", "CITY", "ACTIVE", "LOAD", "STATE"}
	if pings != nil {
		head = append(head, "PING")
	}
	rows := make([][]string, 0, len(servers))
	for _, s := range servers {
		state := s.Status
		if !s.Accessible {
			state = "locked"
			if s.LockedReason != nil {
				state += ": " + *s.LockedReason
			}
		}
		country := orUnknown(s.CountryCode)
		if country == s.CountryCode {
			country += " " + s.Country
		}
		row := []string{id(s.ID), s.Name, country, s.City, strconv.Itoa(s.ActiveConnections), fmt.Sprintf("%d %%", s.Load), state}
		if pings != nil {
			text := "no answer"
			if ping, ok := pings[s.ID]; ok {
				text = milliseconds(ping)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	t.printTable(head, rows)
}

// choice is a server that was chosen, and its ping where that decided.
type choice struct {
	server wire.Server
	ping   time.Duration
}

// choose finds the server that a person means: "best" of all, a number, or the best of a country, city or name. Of several
// only those come into question that speak the protocol, if one is named.
func (a *account) choose(ctx context.Context, target, protocol string) (choice, error) {
	list, err := a.Servers(ctx)
	if err != nil {
		return choice{}, a.remedy(err)
	}
	candidates := matching(list.Data, target)
	switch {
	case len(list.Data) == 0:
		return choice{}, errors.New("the service has no server now: ask your provider")
	case len(candidates) == 0:
		return choice{}, fmt.Errorf("no server is called %q: `stile servers` lists those there are; a country, city, name or number will do", target)
	case len(candidates) == 1:
		return choice{server: candidates[0]}, nil
	}
	if candidates = speaking(candidates, protocol); len(candidates) == 0 {
		return choice{}, fmt.Errorf("none of these servers speaks %s: leave --protocol out, or choose another", protocol)
	}
	pings := client.PingAll(ctx, candidates)
	best, err := client.BestServer(candidates, pings)
	if errors.Is(err, client.ErrNoServer) {
		return choice{}, a.whyNoServer(ctx)
	}
	return choice{server: best, ping: pings[best.ID]}, err
}

// matching returns the servers that a target names.
func matching(servers []wire.Server, target string) []wire.Server {
	if target == "best" {
		return servers
	}
	if target == "" { // which is no city, though servers without one have that
		return nil
	}
	number, err := strconv.ParseInt(target, 10, 64)
	var found []wire.Server
	for _, s := range servers {
		named := strings.EqualFold(s.CountryCode, target) || strings.EqualFold(s.Country, target) ||
			strings.EqualFold(s.City, target) || strings.EqualFold(s.Name, target)
		if named || err == nil && s.ID == number {
			found = append(found, s)
		}
	}
	return found
}

// speaking returns the servers that speak a protocol; all when it is "".
func speaking(servers []wire.Server, protocol string) []wire.Server {
	if protocol == "" {
		return servers
	}
	var found []wire.Server
	for _, s := range servers {
		if slices.Contains(s.Protocols, protocol) {
			found = append(found, s)
		}
	}
	return found
}

// whyNoServer says why none of the servers is open to the account.
func (a *account) whyNoServer(ctx context.Context) error {
	s, err := a.Subscription(ctx)
	if err != nil {
		return a.remedy(err)
	}
	if !s.Access.Allowed {
		return errors.New(accessReason(&s))
	}
	return errors.New("every such server is full, in maintenance or not in your plan: `stile servers` says which, try another or later")
}
