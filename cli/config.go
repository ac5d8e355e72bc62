package cli

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
)

// ConfigCmd is `stile config`.
type ConfigCmd struct {
	Publish  ConfigPublishCmd  `cmd:"" help:"Give nodes other ports and protocols, in stages."`
	Status   ConfigStatusCmd   `cmd:"" help:"Show how the newest roll-out is, and each node's ports."`
	History  ConfigHistoryCmd  `cmd:"" help:"List what was published, the newest first."`
	Resume   ConfigResumeCmd   `cmd:"" help:"Go on with a roll-out that a node stopped."`
	Abort    ConfigAbortCmd    `cmd:"" help:"End a roll-out where it is: nodes that have it keep it."`
	Rollback ConfigRollbackCmd `cmd:"" help:"Return every node that the newest roll-out has reached to its ports of before, at once."`
}

// ConfigPublishCmd is `stile config publish`.
type ConfigPublishCmd struct {
	databaseFlags
	Ports   *portRange    `placeholder:"PORTS" help:"Shadowsocks ports, such as 8388-8403; by default each node keeps its own."`
	Method  *string       `enum:"aes-256-gcm,chacha20-ietf-poly1305,2022-blake3-aes-128-gcm,2022-blake3-aes-256-gcm" help:"Shadowsocks method, as in 'stile server add --help'; by default each node keeps its own. Ports that are kept speak the new one at once."`
	HTTPS   *int          `range:"0..65535" name:"https-port" placeholder:"PORT" help:"Port of the HTTPS proxy, 0 for none; by default each node keeps its own."`
	Server  []int64       `field:"servers" placeholder:"ID" help:"Only for this server; repeatable. By default all."`
	First   int64         `placeholder:"ID" help:"Server whose node gets it first; by default the one that is online with the fewest devices."`
	Hold    time.Duration `range:"0s..168h" default:"1m" help:"How long every node of a stage must have served it before the next stage begins."`
	KeepOld time.Duration `range:"1m..720h" default:"24h" help:"How long ports of before go on taking connections: clients ask for their key once a day."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*ConfigPublishCmd) Help() string {
	return `Every node opens the new ports beside the old ones, writes that down, serves them, and says so; only then do keys name them. It
begins with one node, and goes on to 1 %, 10 % and all of them, each time when every node so far has served it for the time
of --hold. A node that cannot, because a port is taken or it has no certificate, keeps what it had, and stops the roll-out:
'stile config status' says which and why.

Examples:

  $ stile config publish --ports 9000-9015
  $ stile config publish --https-port 443 --server 3 --server 4 --hold 1h
  $ stile config status

Flags of a node itself (--shadowsocks-ports, --https-port) pin its ports: it refuses others. Nodes that never linked, or run
a release without configurations, are left out.`
}

// Run publishes.
func (c *ConfigPublishCmd) Run(ctx context.Context, t *Terminal) error {
	if c.Ports == nil && c.Method == nil && c.HTTPS == nil {
		return errors.New("nothing is published: say what, with --ports, --method or --https-port")
	}
	return c.use(ctx, func(s *vpn.Service) error {
		p := vpn.Publication{ServerIDs: c.Server, First: c.First, Hold: c.Hold, KeepOld: c.KeepOld}
		if c.Ports != nil {
			p.Change.ShadowsocksPort, p.Change.ShadowsocksPorts = c.Ports.first, c.Ports.count
		}
		p.Change.HTTPSPort = c.HTTPS
		setFrom(&p.Change.Method, c.Method)
		r, err := s.PublishConfig(ctx, shell, p)
		if err != nil {
			return err
		}
		return showRollout(t, &r, c.JSON, "published: it begins with one node, `stile config status` shows how it goes on")
	})
}

// showRollout tells what became of a roll-out.
func showRollout(t *Terminal, r *vpn.Rollout, asJSON bool, what string) error {
	if asJSON {
		return t.printJSON(rolloutRowOf(r))
	}
	t.printf("Configuration %d %s.\n", r.Rev, what)
	return nil
}

type rolloutRow struct {
	Rev   int64  `json:"rev"`
	State string `json:"state"`
	Stage string `json:"stage"`
	// Ports and HTTPS are null where each node keeps its own.
	Ports     *string   `json:"ports"`
	HTTPS     *int      `json:"https_port"`
	Method    string    `json:"shadowsocks_method,omitempty"`
	Undoes    int64     `json:"undoes,omitempty"`
	Hold      float64   `json:"hold_seconds"`
	KeepOld   float64   `json:"keep_old_seconds"`
	Why       string    `json:"why,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"`
}

func rolloutRowOf(r *vpn.Rollout) rolloutRow {
	row := rolloutRow{
		Rev: r.Rev, State: string(r.State), Stage: vpn.StageName(r.Stage), HTTPS: r.Change.HTTPSPort, Method: r.Change.Method, Undoes: r.Undoes,
		Hold: r.Hold.Seconds(), KeepOld: r.KeepOld.Seconds(), Why: r.Why, CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt,
	}
	if r.Change.ShadowsocksPort != 0 {
		ports := portRange{r.Change.ShadowsocksPort, r.Change.ShadowsocksPorts}.String()
		row.Ports = &ports
	}
	return row
}

// changes is what a roll-out changes, in words.
func (r *rolloutRow) changes() string {
	var words []string
	if r.Ports != nil {
		words = append(words, "Shadowsocks "+*r.Ports)
	}
	if r.Method != "" {
		words = append(words, r.Method)
	}
	switch {
	case r.HTTPS == nil:
	case *r.HTTPS == 0:
		words = append(words, "no HTTPS")
	default:
		words = append(words, "HTTPS "+strconv.Itoa(*r.HTTPS))
	}
	if r.Undoes != 0 {
		words = append(words, "as before "+id(r.Undoes))
	}
	return strings.Join(words, ", ")
}

// ConfigStatusCmd is `stile config status`.
type ConfigStatusCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

type configNodeRow struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	// State is serving, asked, away, waiting or refused; "" when the newest roll-out does not reach the node.
	State string `json:"state"`
	Stage string `json:"stage"`
	// IsAble is false for nodes that never linked, or run a release without configurations.
	IsAble   bool   `json:"takes_configurations"`
	IsOnline bool   `json:"online"`
	Ports    string `json:"ports"`
	Method   string `json:"shadowsocks_method"`
	HTTPS    int    `json:"https_port"`
	Rev      int64  `json:"rev"`
	Refusal  string `json:"refusal,omitempty"`
}

type configStatus struct {
	Rollout  *rolloutRow     `json:"rollout"`
	WaitsFor int64           `json:"waits_for,omitempty"`
	Nodes    []configNodeRow `json:"nodes"`
}

func configStatusOf(st *vpn.ConfigStatus) configStatus {
	out := configStatus{WaitsFor: st.WaitsFor, Nodes: make([]configNodeRow, len(st.Nodes))}
	if st.Rollout != nil {
		row := rolloutRowOf(st.Rollout)
		out.Rollout = &row
	}
	for i := range st.Nodes {
		n := &st.Nodes[i]
		out.Nodes[i] = configNodeRow{
			ID: n.Server.ID, Name: n.Server.Name, State: st.ConfigState(n), Stage: vpn.StageName(n.Stage), IsAble: n.IsAble, IsOnline: n.IsOnline,
			Ports: portRange{n.Server.ShadowsocksPort, n.Server.ShadowsocksPorts}.String(), Method: n.Server.ShadowsocksMethod, HTTPS: n.Server.HTTPSPort, Rev: n.Rev, Refusal: n.Refusal,
		}
	}
	return out
}

// Run shows it.
func (c *ConfigStatusCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		st, err := s.ConfigStatus(ctx, shell)
		if err != nil {
			return err
		}
		rows := configStatusOf(st)
		if c.JSON {
			return t.printJSON(rows)
		}
		rows.print(t)
		return nil
	})
}

// print shows the status with what can be done.
func (c *configStatus) print(t *Terminal) {
	cells := make([][]string, len(c.Nodes))
	serving, members := 0, 0
	var away []string
	for i := range c.Nodes {
		n := &c.Nodes[i]
		state := n.State
		if !n.IsAble {
			state = "left out"
		}
		if n.Stage != "" {
			members++
		}
		switch state {
		case "serving":
			serving++
		case "away":
			away = append(away, id(n.ID))
		}
		online := "offline"
		if n.IsOnline {
			online = "online"
		}
		cells[i] = []string{id(n.ID), n.Name, online, n.Ports, n.Method, orNone(n.HTTPS), id(n.Rev), n.Stage, state, n.Refusal}
	}
	if r := c.Rollout; r != nil {
		t.printf("Configuration %d (%s): %s, stage %s; %d of %d nodes serve it\n", r.Rev, r.changes(), r.State, r.Stage, serving, members)
		if len(away) > 0 {
			t.printf("Away, and given it when they come back: %s\n", strings.Join(away, ", "))
		}
		if c.WaitsFor != 0 {
			t.printf("It waits for node %d. To go on without it: stile config resume --leave %d\n", c.WaitsFor, c.WaitsFor)
		}
		if r.State == string(vpn.RolloutStopped) {
			t.printf("Stopped: %s\nMend it and run `stile config resume`, or leave the node with --leave; `stile config rollback` takes it back from all, `stile config abort` leaves it where it is.\n", r.Why)
		}
	}
	t.printTable([]string{"ID", "NAME", "NODE", "PORTS", "METHOD", "HTTPS", "REV", "STAGE", "STATE", "REFUSAL"}, cells)
}

// orNone is a port, "-" when there is none.
func orNone(port int) string {
	if port == 0 {
		return "-"
	}
	return strconv.Itoa(port)
}

// ConfigHistoryCmd is `stile config history`.
type ConfigHistoryCmd struct {
	databaseFlags
	Limit int  `range:"1..1000" default:"20" help:"How many at the most."`
	JSON  bool `name:"json" help:"Print JSON."`
}

// Run lists what was published.
func (c *ConfigHistoryCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		all, err := s.Rollouts(ctx, shell, 0, c.Limit)
		if err != nil {
			return err
		}
		rows := make([]rolloutRow, len(all))
		cells := make([][]string, len(all))
		for i := range all {
			rows[i] = rolloutRowOf(&all[i])
			r := &rows[i]
			cells[i] = []string{id(r.Rev), r.CreatedAt.UTC().Format(time.DateTime), r.State, r.Stage, r.changes(), r.Why}
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"REV", "PUBLISHED", "STATE", "STAGE", "CHANGES", "WHY"}, cells)
		return nil
	})
}

// ConfigResumeCmd is `stile config resume`.
type ConfigResumeCmd struct {
	databaseFlags
	Leave []int64 `placeholder:"ID" help:"Leave this server's node with what it serves; repeatable. Also while a roll-out runs, for a node that does not come back."`
	JSON  bool    `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*ConfigResumeCmd) Help() string {
	return `The same configuration goes on under another revision, from the stage where it was stopped: nodes that refused are asked again.`
}

// Run resumes.
func (c *ConfigResumeCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		r, err := s.ResumeConfig(ctx, shell, c.Leave)
		if err != nil {
			return err
		}
		return showRollout(t, &r, c.JSON, "goes on in stage "+vpn.StageName(r.Stage))
	})
}

// ConfigAbortCmd is `stile config abort`.
type ConfigAbortCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run ends the roll-out.
func (c *ConfigAbortCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		r, err := s.AbortConfig(ctx, shell)
		if err != nil {
			return err
		}
		return showRollout(t, &r, c.JSON, "goes to no other node; to take it back: stile config rollback")
	})
}

// ConfigRollbackCmd is `stile config rollback`.
type ConfigRollbackCmd struct {
	databaseFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Run takes the roll-out back.
func (c *ConfigRollbackCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		r, err := s.RollBackConfig(ctx, shell)
		if err != nil {
			return err
		}
		return showRollout(t, &r, c.JSON, "returns the nodes to their ports of before "+id(r.Undoes))
	})
}
