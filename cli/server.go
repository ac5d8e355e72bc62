package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"stile/store"
	"stile/vpn"
)

// ServerCmd is `stile server`.
type ServerCmd struct {
	Add    ServerAddCmd    `cmd:"" help:"Make a server."`
	List   ServerListCmd   `cmd:"" help:"List servers."`
	Join   ServerJoinCmd   `cmd:"" help:"Make a token by which a machine joins as the node of a server."`
	Set    ServerSetCmd    `cmd:"" help:"Change a server: where it is, its state, its limits."`
	Remove ServerRemoveCmd `cmd:"" help:"Delete a server; its keys die at once."`
}

// serverFlags are the values of a server.
type serverFlags struct {
	Country  *string    `help:"ISO 3166-1 code, such as NL; ZZ where it is not known."`
	City     *string    `help:"City in English."`
	CityRu   *string    `help:"City in Russian."`
	Lat      *float64   `field:"latitude" range:"-90..90" help:"Latitude in degrees."`
	Lon      *float64   `field:"longitude" range:"-180..180" help:"Longitude in degrees."`
	Host     *string    `help:"Public name or address that keys point to."`
	Ports    *portRange `help:"Shadowsocks ports, such as 8388-8403."`
	Method   *string    `field:"shadowsocks_method" enum:"aes-256-gcm,chacha20-ietf-poly1305,2022-blake3-aes-128-gcm,2022-blake3-aes-256-gcm" help:"Shadowsocks method: aes-256-gcm (the default), chacha20-ietf-poly1305, or of Shadowsocks 2022, which Outline's apps can't read, 2022-blake3-aes-128-gcm or 2022-blake3-aes-256-gcm."`
	HTTPS    *int       `range:"0..65535" name:"https-port" help:"Port of its HTTPS proxy; 0 is none."`
	PingURL  *string    `name:"ping-url" help:"URL that clients time; by default https://HOST/ping, at --https-port."`
	Capacity *int       `range:"0..2147483647" help:"Active devices it is meant for; 0 is unlimited."`
	Tier     *int       `range:"0..2147483647" help:"Lowest plan tier that may use it."`
	State    *string    `enum:"active,maintenance,drained" help:"active, maintenance (listed, refuses new keys) or drained (not listed)."`
}

// areNone reports whether no flag is given.
func (f *serverFlags) areNone() bool { return *f == serverFlags{} }

// apply puts the given flags over a server's values.
func (f *serverFlags) apply(s *vpn.Server) {
	setFrom(&s.CountryCode, f.Country)
	setFrom(&s.City.EN, f.City)
	setFrom(&s.City.RU, f.CityRu)
	setFrom(&s.Host, f.Host)
	setFrom(&s.PingURL, f.PingURL)
	setFrom(&s.ShadowsocksMethod, f.Method)
	setFrom((*string)(&s.State), f.State)
	setFrom(&s.Latitude, f.Lat)
	setFrom(&s.Longitude, f.Lon)
	setFrom(&s.Capacity, f.Capacity)
	setFrom(&s.Tier, f.Tier)
	setFrom(&s.HTTPSPort, f.HTTPS)
	if f.Ports != nil {
		s.ShadowsocksPort, s.ShadowsocksPorts = f.Ports.first, f.Ports.count
	}
	if s.PingURL == "" {
		s.PingURL = vpn.PingURL(s.Host, cmp.Or(s.HTTPSPort, 443))
	}
}

// ServerAddCmd is `stile server add`.
type ServerAddCmd struct {
	databaseFlags
	serverFlags
	Name string `arg:"" help:"Shown name, such as 'Amsterdam 1'."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run makes the server.
func (c *ServerAddCmd) Run(ctx context.Context, t *Terminal) error {
	return c.useOrMake(ctx, t, func(st *store.Store, s *vpn.Service) error {
		server := vpn.Server{Name: c.Name, ShadowsocksPort: defaultPorts.first, ShadowsocksPorts: defaultPorts.count}
		c.apply(&server)
		server, err := s.AddServer(ctx, shell, server)
		if err != nil {
			return err
		}
		if !c.JSON {
			t.printf("Server %d made: %s\n", server.ID, server.Name)
		}
		join, err := joinLine(ctx, st, s, shell, server.ID)
		if errors.Is(err, errNoNodesURL) { // the server may be the embedded node's of another machine
			t.notef("%v\n", err)
			err = nil
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return t.printJSON(struct {
				serverRow
				Join string `json:"join,omitempty"`
			}{serverRowOf(&server), join})
		}
		if join != "" {
			t.printf("Within an hour, paste on %s:\n\n%s\n", server.Host, join)
		}
		return nil
	})
}

// ServerSetCmd is `stile server set`.
type ServerSetCmd struct {
	databaseFlags
	serverFlags
	ID   int64   `arg:"" name:"id" help:"Number of the server, as 'stile server list' shows it."`
	Name *string `help:"Shown name."`
}

// Run changes the server.
func (c *ServerSetCmd) Run(ctx context.Context, t *Terminal) error {
	if c.Name == nil && c.areNone() {
		return errNothing
	}
	return c.use(ctx, func(s *vpn.Service) error {
		servers, err := s.AllServers(ctx, shell)
		if err != nil {
			return err
		}
		for i := range servers {
			if server := servers[i].Server; server.ID == c.ID {
				before := server
				setFrom(&server.Name, c.Name)
				c.apply(&server)
				if err := s.UpdateServer(ctx, shell, server); err != nil {
					return err
				}
				t.printf("Server %d changed.\n", server.ID)
				if server.Ports() != before.Ports() {
					t.notef("Its node moves there within seconds, and keys say so from then on: `stile config status` shows it. A node of an earlier release, or one that has not linked yet, does when it starts. Apps have to fetch their keys again.\n")
				}
				return nil
			}
		}
		return fmt.Errorf("no server %d; `stile server list` shows them", c.ID)
	})
}

// ServerRemoveCmd is `stile server remove`.
type ServerRemoveCmd struct {
	databaseFlags
	ID int64 `arg:"" name:"id" help:"Number of the server."`
}

// Run deletes the server.
func (c *ServerRemoveCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if err := s.RemoveServer(ctx, shell, c.ID); err != nil {
			return unfound(err, "server "+id(c.ID), "server list")
		}
		t.printf("Server %d is deleted.\n", c.ID)
		return nil
	})
}

// ServerListCmd is `stile server list`.
type ServerListCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

type serverRow struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Country  string `json:"country_code"`
	City     string `json:"city"`
	Host     string `json:"host"`
	Ports    string `json:"ports"`
	Method   string `json:"shadowsocks_method"`
	HTTPS    int    `json:"https_port"`
	PingURL  string `json:"ping_url"`
	Capacity int    `json:"capacity"`
	Tier     int    `json:"tier"`
	State    string `json:"state"`
}

func serverRowOf(s *vpn.Server) serverRow {
	return serverRow{
		s.ID, s.Name, s.CountryCode, s.City.In("en"), s.Host, portRange{s.ShadowsocksPort, s.ShadowsocksPorts}.String(),
		s.ShadowsocksMethod, s.HTTPSPort, s.PingURL, s.Capacity, s.Tier, string(s.State),
	}
}

// orUnknown is the code of a country for people.
func orUnknown(country string) string {
	if country == vpn.UnknownCountry {
		return "unknown"
	}
	return country
}

// Run lists the servers.
func (c *ServerListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		servers, err := s.AllServers(ctx, shell)
		if err != nil {
			return err
		}
		rows := make([]serverRow, 0, len(servers))
		cells := make([][]string, 0, len(servers))
		for i := range servers {
			r := serverRowOf(&servers[i].Server)
			rows = append(rows, r)
			cells = append(cells, []string{
				id(r.ID), r.Name, orUnknown(r.Country), r.City, r.Host, r.Ports, orUnlimited(int64(r.Capacity)), fmt.Sprint(r.Tier), r.State,
			})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"ID", "NAME", "COUNTRY", "CITY", "HOST", "PORTS", "CAPACITY", "TIER", "STATE"}, cells)
		return nil
	})
}
