package web

import (
	"context"
	"html/template"
	"strconv"
	"strings"
	"sync"
	"time"

	"stile/vpn"
)

// operates reports whether a user may enter the console.
func operates(u *vpn.User) bool {
	return u.Status == vpn.UserActive && u.Role.Level(vpn.NounUsers) >= vpn.Read
}

// mayChange reports whether a user may change what a noun of the console stands for: users, servers, plans, vouchers. Pages
// hide what a user may not do; the use case refuses it all the same.
func mayChange(u *vpn.User, noun string) bool {
	return operates(u) && u.Role.Level(vpn.Noun(noun)) >= vpn.Write
}

// mayHelp reports whether a user may do with a noun what support does.
func mayHelp(u *vpn.User, noun string) bool {
	return operates(u) && u.Role.Level(vpn.Noun(noun)) >= vpn.Help
}

// Helps is mayHelp for who looks at the page.
func (v view) Helps(noun string) bool { return v.User != nil && mayHelp(v.User, noun) }

// Can is mayChange for who looks at the page.
func (v view) Can(noun string) bool { return v.User != nil && mayChange(v.User, noun) }

// Operates is operates for who looks at the page.
func (v view) Operates() bool { return v.User != nil && operates(v.User) }

// menuFor are the pages of the console that a user may see.
func menuFor(u *vpn.User) (paths []string) {
	for _, page := range []struct {
		path string
		noun vpn.Noun // what one must be able to see
	}{
		{"/admin", vpn.NounUsers}, {"/admin/users", vpn.NounUsers}, {"/admin/invitations", vpn.NounUsers}, {"/admin/servers", vpn.NounServers},
		{"/admin/plans", vpn.NounPlans}, {"/admin/vouchers", vpn.NounVouchers}, {"/admin/payments", vpn.NounPayments},
		{"/admin/webhooks", vpn.NounWebhooks}, {"/admin/audit", vpn.NounAudit}, {"/admin/settings", vpn.NounSettings},
	} {
		if u.Role.Level(page.noun) >= vpn.Read {
			paths = append(paths, page.path)
		}
	}
	return paths
}

func isConsole(path string) bool { return path == "/admin" || strings.HasPrefix(path, "/admin/") }

// operate serves a route of the console to whoever may enter it.
func (s *Site) operate(h handler) handler {
	return func(v *visit) error {
		if !operates(&v.actor.User) {
			return vpn.Refusal(vpn.CodeForbidden)
		}
		return h(v)
	}
}

// pageRows is how many rows a list of the console shows at once.
const pageRows = 50

// glancePage is the service at a glance.
type glancePage struct {
	vpn.Glance
	// None have no subscription.
	None int64
	// Connections are active on all nodes.
	Connections     int
	Online, Offline int
	// Down are nodes that should be online; Renewing those whose certificate ends soon.
	Down, Renewing []fleetRow
	Servers, Plans int
	// Chart is of the connections of all nodes, Nodes the charts of each.
	Chart liveChart
	Nodes template.HTML
	// Skip is how many nodes are on pages before this one, More the Skip of the next, 0 = none.
	Skip, More int
	// Traffic is of the last days, Today what went in and out today.
	Traffic chart
	Today   int64
	Now     time.Time
}

// IsCalm reports that nothing needs an operator.
func (p *glancePage) IsCalm() bool {
	return len(p.Down)+len(p.Renewing) == 0 && p.Ending == 0 && p.Plans > 0 && p.Servers > 0
}

func (s *Site) glance(v *visit) error {
	p := glancePage{Now: s.service.Now()}
	var err error
	if p.Glance, err = s.glances.get(v.r.Context(), s.service, v.actor, p.Now); err != nil {
		return err
	}
	p.None = max(0, p.Users-p.Active-p.Grace-p.Expired)
	rows, err := s.fleet(v)
	if err != nil {
		return err
	}
	plans, err := s.service.Plans(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	p.Servers, p.Plans = len(rows), len(plans)
	for i := range rows {
		r := &rows[i]
		p.Connections += r.Active
		if r.State == vpn.NodeOnline {
			p.Online++
		} else {
			p.Offline++
			if r.State == vpn.NodeOffline {
				p.Down = append(p.Down, *r)
			}
		}
		if r.State == vpn.NodeOnline && r.EndsSoon(p.Now) {
			p.Renewing = append(p.Renewing, *r)
		}
	}
	p.Skip, p.More = v.skip("nodes", len(rows), maxNodeCharts)
	if p.Nodes, p.Chart, err = v.nodeCharts(rows, p.Skip); err != nil {
		return err
	}
	if p.Chart.Points != "" { // what the page then goes on with
		p.Connections = p.Chart.Now
	}
	days, err := s.service.DayTraffic(v.r.Context(), v.actor, historyDays)
	if err != nil {
		return err
	}
	p.Traffic = newChart(s.texts, v.lang, days, p.Now)
	if len(days) > 0 && days[0].Day.Equal(p.Traffic.Last) {
		p.Today = days[0].Up + days[0].Down
	}
	return v.page(200, "glance", &p)
}

// skip reads from the address how much of a list of n is on pages before; more is the same for the next page, 0 = there is none.
func (v *visit) skip(name string, n, perPage int) (skip, more int) {
	skip, _ = strconv.Atoi(v.r.URL.Query().Get(name)) // what is no number is the first page
	skip = min(max(skip, 0), max(n-1, 0)) / perPage * perPage
	if skip+perPage < n {
		more = skip + perPage
	}
	return skip, more
}

// glances keep the counts for some seconds: they go through a million entries of an index.
type glances struct {
	mu         sync.Mutex
	at         time.Time
	kept       vpn.Glance
	isCounting bool
}

const (
	// glanceHolds is how old counts are before they are made anew, and glanceWaits how old before a page waits for that.
	glanceHolds, glanceWaits = 10 * time.Second, time.Minute
)

// get returns the counts. Those who come while they are made anew get the present ones, unless those are too old.
func (g *glances) get(ctx context.Context, service *vpn.Service, a *vpn.Actor, now time.Time) (vpn.Glance, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	age := now.Sub(g.at)
	switch {
	case g.at.IsZero() || age < 0 || age >= glanceWaits:
		kept, err := service.Glance(ctx, a)
		if err == nil {
			g.kept, g.at = kept, now
		}
		return kept, err
	case age >= glanceHolds && !g.isCounting:
		g.isCounting = true
		go g.count(context.WithoutCancel(ctx), service, a, now)
	}
	return g.kept, nil
}

// count makes the counts anew. What fails is tried again by the next page.
func (g *glances) count(ctx context.Context, service *vpn.Service, a *vpn.Actor, now time.Time) {
	kept, err := service.Glance(ctx, a)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isCounting = false; err == nil {
		g.kept, g.at = kept, now
	}
}
