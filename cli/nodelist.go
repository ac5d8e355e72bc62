package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"stile/vpn"
)

// nodeRow is a node as an operator sees it.
type nodeRow struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Host string `json:"host"`
	// State is online, offline, revoked, waiting (a token was made) or none (no machine ever came, and no token was made).
	State vpn.NodeState `json:"state"`
	// IsEmbedded: the node is one in the process of a `stile serve`.
	IsEmbedded bool `json:"embedded"`
	// SeenAt is when the node last said something; null before.
	SeenAt *time.Time `json:"seen_at"`
	// Rev is the revision of its keys that it has applied, and Lag how many it is behind.
	Rev            int64      `json:"rev"`
	Lag            int64      `json:"lag"`
	Version        string     `json:"version"`
	CertifiedUntil *time.Time `json:"certified_until"`
	// Load is of the machine's processors over the last minute, in percent, whatever its sessions do; Active are devices with traffic.
	Load     int `json:"load"`
	Sessions int `json:"sessions"`
	Active   int `json:"active_connections"`
	// RefusedKeys are keys that it does not honour, or cannot hold: they do not work there.
	RefusedKeys []int64 `json:"refused_keys"`
	// Config is the revision of the configuration that it serves, Wanted the one that it should, and Refused the one that it
	// refused since, for the reason Refusal.
	Config  int64  `json:"config_rev"`
	Wanted  int64  `json:"config_wanted"`
	Refused int64  `json:"config_refused,omitempty"`
	Refusal string `json:"config_refusal,omitempty"`
	Ports   string `json:"ports"`
	HTTPS   int    `json:"https_port"`
}

func nodeRowOf(r *vpn.NodeReport, now time.Time) nodeRow {
	row := nodeRow{
		ID: r.Server.ID, Name: r.Server.Name, Host: r.Server.Host, State: r.State(now), IsEmbedded: r.IsEmbedded(), SeenAt: orNull(r.Status.At), Rev: r.Status.Applied, Lag: r.Lag(),
		Version: r.Status.Version, CertifiedUntil: orNull(r.Identity.CertifiedUntil),
		RefusedKeys: orEmpty(r.Status.Refused.All()),
		Ports:       portRange{r.Server.ShadowsocksPort, r.Server.ShadowsocksPorts}.String(), HTTPS: r.Server.HTTPSPort,
	}
	if c := r.Config; c != nil {
		row.Config, row.Wanted, row.Refused, row.Refusal = c.Rev, c.Wanted.Rev, c.RefusedRev, c.Refusal
	}
	if row.State == vpn.NodeOnline {
		row.Load, row.Sessions, row.Active = r.Status.Load, r.Status.Sessions, r.Status.ActiveDevices
	}
	return row
}

// state is how the node is, in words.
func (r *nodeRow) state() string {
	switch {
	case r.State == vpn.NodeNone:
		return "no node yet"
	case r.IsEmbedded:
		return string(r.State) + ", embedded"
	}
	return string(r.State)
}

// orEmpty is a list for JSON, also when it is empty.
func orEmpty(ids []int64) []int64 { return append([]int64{}, ids...) }

// config is where the node stands with its configuration.
func (r *nodeRow) config() string {
	switch {
	case r.Refused != 0:
		return fmt.Sprintf("%d, refuses %d", r.Config, r.Refused)
	case r.Wanted > r.Config:
		return fmt.Sprintf("%d, asked for %d", r.Config, r.Wanted)
	}
	return id(r.Config)
}

// orNull is an instant for JSON, null when there is none.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// NodeListCmd is `stile node list`.
type NodeListCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run lists the nodes.
func (c *NodeListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		reports, err := s.NodeReports(ctx, shell)
		if err != nil {
			return err
		}
		now := time.Now()
		rows := make([]nodeRow, 0, len(reports))
		cells := make([][]string, 0, len(reports))
		for i := range reports {
			r := nodeRowOf(&reports[i], now)
			rows = append(rows, r)
			cells = append(cells, []string{
				id(r.ID), r.Name, r.state(), ago(r.SeenAt, now), id(r.Lag), r.Version, daysUntil(r.CertifiedUntil, now), strconv.Itoa(r.Load) + " %", strconv.Itoa(r.Active),
				strconv.Itoa(r.Sessions), r.config(),
			})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"ID", "NAME", "STATE", "SEEN", "LAG", "VERSION", "CERTIFICATE", "CPU LOAD", "ACTIVE", "SESSIONS", "CONFIG"}, cells)
		return nil
	})
}

// NodeShowCmd is `stile node show`.
type NodeShowCmd struct {
	databaseFlags
	ID   int64 `arg:"" name:"id" help:"Number of the server whose node it is."`
	JSON bool  `name:"json" help:"Print JSON."`
}

// Run shows one node.
func (c *NodeShowCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		reports, err := s.NodeReports(ctx, shell)
		if err != nil {
			return err
		}
		now := time.Now()
		for i := range reports {
			if reports[i].Server.ID != c.ID {
				continue
			}
			r := nodeRowOf(&reports[i], now)
			if c.JSON {
				return t.printJSON(r)
			}
			t.printTable(nil, [][]string{
				{"name", r.Name}, {"host", r.Host}, {"state", r.state()}, {"seen", ago(r.SeenAt, now)},
				{"keys at revision", fmt.Sprintf("%d, %d behind", r.Rev, r.Lag)}, {"version", r.Version},
				{"certificate ends in", daysUntil(r.CertifiedUntil, now)}, {"load of its processors", strconv.Itoa(r.Load) + " %"},
				{"sessions", strconv.Itoa(r.Sessions)}, {"active connections", strconv.Itoa(r.Active)},
				{"keys it refuses", orElse(string(reports[i].Status.Refused), "none")},
				{"Shadowsocks ports", r.Ports}, {"HTTPS port", orNone(r.HTTPS)}, {"configuration", r.config()}, {"refused because", r.Refusal},
			})
			return nil
		}
		return fmt.Errorf("no server %d; `stile node list` shows them", c.ID)
	})
}

// ago is how long ago something was, "never" when it was not.
func ago(at *time.Time, now time.Time) string {
	if at == nil {
		return "never"
	}
	return now.Sub(*at).Round(time.Second).String() + " ago"
}

// daysUntil is how many whole days are left, "-" when there is no end.
func daysUntil(at *time.Time, now time.Time) string {
	if at == nil {
		return "-"
	}
	return strconv.Itoa(int(at.Sub(now).Hours()/24)) + " days"
}
