package web

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/accesskey"
	"stile/vpn"
)

// rolloutsPage is the newest configuration of nodes on its way to them, and what was published before.
type rolloutsPage struct {
	// Rollout is nil before the first.
	Rollout *rolloutRow
	// Served is how many of its nodes, which are Members, serve it; Away get it when they are back.
	Served, Members, Away int
	// Waits is the server for whose node, which is away, it waits; nil = for none.
	Waits *vpn.Server
	Nodes []configuredRow
	// Skip is how many nodes are on pages before this one, More the Skip of the next, 0 = none.
	Skip, More int
	// Able are the servers whose nodes take configurations: one of them can be the first.
	Able    []configuredRow
	History []rolloutRow
	Form    publicationForm
}

// rolloutRow is a roll-out in a list.
type rolloutRow struct{ vpn.Rollout }

// Tone is the colour of its state.
func (r *rolloutRow) Tone() string {
	switch r.State {
	case vpn.RolloutRunning:
		return "trial"
	case vpn.RolloutStopped:
		return "expired"
	case vpn.RolloutDone:
		return "active"
	default:
		return ""
	}
}

// Ports are the Shadowsocks ports that it gives; "" = as they are.
func (r *rolloutRow) Ports() string {
	if r.Change.ShadowsocksPort == 0 {
		return ""
	}
	return portsText(r.Change.ShadowsocksPort, r.Change.ShadowsocksPorts)
}

// HTTPS is the port of the HTTPS proxy that it gives, "0" for none; "" = as it is.
func (r *rolloutRow) HTTPS() string {
	if r.Change.HTTPSPort == nil {
		return ""
	}
	return strconv.Itoa(*r.Change.HTTPSPort)
}

// IsUnderWay reports that it can be ended.
func (r *rolloutRow) IsUnderWay() bool {
	return r.State == vpn.RolloutRunning || r.State == vpn.RolloutStopped
}

// IsStopped reports that it waits for an operator.
func (r *rolloutRow) IsStopped() bool { return r.State == vpn.RolloutStopped }

// CanBeUndone reports that its nodes can return to what they served before.
func (r *rolloutRow) CanBeUndone() bool { return r.Undoes == 0 && r.State != vpn.RolloutUndone }

// configuredRow is a server's node with what it serves.
type configuredRow struct {
	vpn.ConfigNode
	// Part is its ConfigState, or out where it takes no configurations.
	Part string
	// IsInTheWay: it refused, or the roll-out waits for it and it is away.
	IsInTheWay bool
}

// Ports are its Shadowsocks ports.
func (c *configuredRow) Ports() string {
	return portsText(c.Server.ShadowsocksPort, c.Server.ShadowsocksPorts)
}

// portsText is n ports from first on, as operators write them.
func portsText(first, n int) string {
	text := strconv.Itoa(first)
	if n > 1 {
		text += "-" + strconv.Itoa(first+n-1)
	}
	return text
}

// publicationForm is a configuration as it is typed: what is left empty stays as it is on each node.
type publicationForm struct {
	Ports, Method, HTTPSPort, Servers, First, Hold, KeepOld string
	Problem                                                 problem
}

// holdUnit and keepOldUnit are what Hold and KeepOld count.
const (
	holdUnit    = time.Minute
	keepOldUnit = time.Hour
)

// Methods are those to choose from.
func (publicationForm) Methods() []string { return accesskey.Methods() }

func (v *visit) publicationForm() publicationForm {
	return publicationForm{
		Ports: v.form("ports"), Method: v.form("shadowsocks_method"), HTTPSPort: v.form("https_port"), Servers: v.form("servers"),
		First: v.form("first"), Hold: v.form("hold"), KeepOld: v.form("keep_old"),
	}
}

// publication is what was typed. CodeValidationFailed names what is no number.
func (f *publicationForm) publication() (p vpn.Publication, err error) {
	if f.Ports != "" {
		if p.Change.ShadowsocksPort, p.Change.ShadowsocksPorts, err = readPorts(f.Ports); err != nil {
			return p, err
		}
	}
	p.Change.Method = f.Method
	if f.HTTPSPort != "" {
		p.Change.HTTPSPort = new(int)
		if err := readWhole("https_port", f.HTTPSPort, p.Change.HTTPSPort); err != nil {
			return p, err
		}
	}
	for _, word := range strings.Fields(strings.ReplaceAll(f.Servers, ",", " ")) {
		id, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return p, &vpn.Error{Code: vpn.CodeValidationFailed, Field: "servers", Rule: "exists"}
		}
		p.ServerIDs = append(p.ServerIDs, id)
	}
	if f.First != "" {
		if p.First, err = strconv.ParseInt(f.First, 10, 64); err != nil || p.First == 0 {
			return p, &vpn.Error{Code: vpn.CodeValidationFailed, Field: "first", Rule: "exists"}
		}
	}
	if p.Hold, err = readDuration("hold", f.Hold, holdUnit); err != nil {
		return p, err
	}
	p.KeepOld, err = readDuration("keep_old", f.KeepOld, keepOldUnit)
	return p, err
}

// readDuration reads a whole number of units; one past what a duration holds is the longest.
func readDuration(field, text string, unit time.Duration) (time.Duration, error) {
	var n int
	err := readWhole(field, text, &n)
	return time.Duration(min(int64(n), math.MaxInt64/int64(unit))) * unit, err
}

func (s *Site) rollouts(v *visit) error {
	return s.showRollouts(v, http.StatusOK, publicationForm{
		Hold: strconv.Itoa(int(vpn.DefaultHold / holdUnit)), KeepOld: strconv.Itoa(int(vpn.DefaultKeepOld / keepOldUnit)),
	})
}

func (s *Site) showRollouts(v *visit, status int, form publicationForm) error {
	st, err := s.service.ConfigStatus(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	history, err := s.service.Rollouts(v.r.Context(), v.actor, 0, pageRows)
	if err != nil {
		return err
	}
	p := rolloutsPage{Form: form}
	if st.Rollout != nil {
		p.Rollout = &rolloutRow{*st.Rollout}
	}
	for _, r := range history {
		p.History = append(p.History, rolloutRow{r})
	}
	for i := range st.Nodes {
		n := configuredRow{ConfigNode: st.Nodes[i], Part: st.ConfigState(&st.Nodes[i])}
		isAway := n.Server.ID == st.WaitsFor && !n.IsOnline
		if isAway {
			p.Waits = &n.Server
		}
		n.IsInTheWay = isAway || n.Part == "refused"
		if n.IsAble {
			p.Able = append(p.Able, n)
		} else {
			n.Part = "out"
		}
		if n.Stage > 0 {
			p.Members++
		}
		switch n.Part {
		case "serving":
			p.Served++
		case "away":
			p.Away++
		}
		p.Nodes = append(p.Nodes, n)
	}
	p.Skip, p.More = v.skip("from", len(p.Nodes), fleetRows)
	p.Nodes = p.Nodes[p.Skip:min(p.Skip+fleetRows, len(p.Nodes))]
	return v.page(status, "rollouts", &p)
}

// publishConfig begins a roll-out.
func (s *Site) publishConfig(v *visit) error {
	form := v.publicationForm()
	p, err := form.publication()
	if err == nil {
		_, err = s.service.PublishConfig(v.r.Context(), v.actor, p)
	}
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showRollouts(v, status, form)
		})
	}
	return v.done("/admin/config", "config_published")
}

// resumeConfig goes on with a roll-out, without the node of the server that the form names, if it names one.
func (s *Site) resumeConfig(v *visit) error {
	var leave []int64
	if id, err := strconv.ParseInt(v.form("leave"), 10, 64); err == nil {
		leave = append(leave, id)
	}
	if _, err := s.service.ResumeConfig(v.r.Context(), v.actor, leave); err != nil {
		return err
	}
	return v.done("/admin/config", "config_resumed")
}

func (s *Site) abortConfig(v *visit) error {
	if _, err := s.service.AbortConfig(v.r.Context(), v.actor); err != nil {
		return err
	}
	return v.done("/admin/config", "config_aborted")
}

func (s *Site) rollBackConfig(v *visit) error {
	if _, err := s.service.RollBackConfig(v.r.Context(), v.actor); err != nil {
		return err
	}
	return v.done("/admin/config", "config_rolled_back")
}
