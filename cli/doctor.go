package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"stile/client"
	"stile/wire"
)

// clockLimit is how far a clock may be off before certificates and protocols with time in them fail.
const clockLimit = 30 * time.Second

// DoctorCmd is `stile doctor`.
type DoctorCmd struct {
	API   string `name:"api" placeholder:"URL" help:"Address of the service; by default the one you are signed in to."`
	Probe string `placeholder:"URL" help:"Page to load through the key; by default one of the service."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

// Help is shown by --help.
func (*DoctorCmd) Help() string {
	return `Goes the way of a connection step by step, and says at the step that fails what to do.

Example:

  $ stile doctor`
}

// finding is what one step of the doctor saw.
type finding struct {
	Check string `json:"check"`
	// State is ok, failed, or unknown when the step could not be judged.
	State  string `json:"state"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"`
}

func (f *finding) print(t *Terminal) {
	t.printf("%-8s%s: %s\n", f.State, f.Check, clean(f.Detail))
	if f.Remedy != "" {
		t.printf("        %s\n", f.Remedy)
	}
}

// errAiling says that the findings, which are printed, are not all good.
var errAiling = errors.New("not all is well, see above")

// examination is one run of the doctor.
type examination struct {
	api      string
	probe    string
	profile  profile
	session  session
	anyone   *client.Client
	account  *account
	chosen   choice
	findings []finding
}

// Run makes the steps up to the first that fails.
func (c *DoctorCmd) Run(ctx context.Context, t *Terminal) error {
	p, err := openProfile()
	if err != nil {
		return err
	}
	s, err := p.session()
	if err != nil {
		return err
	}
	e := &examination{api: cmp.Or(c.API, s.API, defaultAPI), probe: c.Probe, profile: p, session: s}
	if e.anyone, err = newClient(e.api, ""); err != nil {
		return err
	}
	e.api = e.anyone.BaseURL()
	isWell := true
	for _, step := range []func(context.Context) finding{e.service, e.signIn, e.subscription, e.servers, e.key} {
		f := step(ctx)
		e.findings = append(e.findings, f)
		if isWell = f.State != "failed"; !isWell {
			break
		}
	}
	for _, f := range e.findings {
		if c.JSON {
			break
		}
		f.print(t)
	}
	if c.JSON {
		err = t.printJSON(e.findings)
	}
	if !isWell {
		return errors.Join(err, errAiling)
	}
	return err
}

// service: does the API answer, and do its clock and ours agree?
func (e *examination) service(ctx context.Context) finding {
	f := finding{Check: "service", State: "failed"}
	askedAt := time.Now()
	theirs, err := e.anyone.Probe(ctx)
	took := time.Since(askedAt)
	if err != nil {
		if isUnreachable(err) { // remedy would send to this very command
			f.Detail = unreachable(err, e.api).Error()
		} else {
			f.Detail = remedy(err, e.api).Error()
		}
		f.Remedy = "Check the address (--api), the network, and whether a firewall or a captive portal is in between."
		if isDated(err) {
			f.Remedy = datedRemedy
		}
		return f
	}
	f.Detail = fmt.Sprintf("%s answers in %s", e.api, milliseconds(took))
	off := time.Since(theirs).Round(time.Second)
	if off.Abs() > clockLimit {
		f.Detail += fmt.Sprintf(", and the clock of this machine is off by %v", off)
		f.Remedy = "Set the clock: sudo timedatectl set-ntp true"
		return f
	}
	f.State = "ok"
	return f
}

// signIn: does the session still hold?
func (e *examination) signIn(ctx context.Context) finding {
	f := finding{Check: "sign-in", State: "failed", Detail: "nobody is signed in", Remedy: "stile login --api " + e.api}
	if e.session.Token == "" || e.session.API != e.api {
		return f
	}
	e.account = &account{Client: e.anyone.WithToken(e.session.Token), profile: e.profile, session: e.session}
	user, err := e.account.User(ctx)
	if err != nil {
		f.Detail = e.account.remedy(err).Error()
		return f
	}
	return finding{Check: f.Check, State: "ok", Detail: clean(user.Email)}
}

// subscription: may the account have keys?
func (e *examination) subscription(ctx context.Context) finding {
	f := finding{Check: "subscription", State: "failed"}
	s, err := e.account.Subscription(ctx)
	switch {
	case err != nil:
		f.Detail = e.account.remedy(err).Error()
	case !s.Access.Allowed:
		f.Detail = accessReason(&s)
		f.Remedy = "Renew it, or ask your provider."
	default:
		f.State, f.Detail = "ok", clean(describePlan(&s.Subscription))+"; "+describeTraffic(&s.Traffic)
	}
	return f
}

// servers: is there one to use, and do they answer from here?
func (e *examination) servers(ctx context.Context) finding {
	f := finding{Check: "servers", State: "failed"}
	list, err := e.account.Servers(ctx)
	if err != nil {
		f.Detail = e.account.remedy(err).Error()
		return f
	}
	pings := client.PingAll(ctx, list.Data)
	best, err := client.BestServer(list.Data, pings)
	if err != nil {
		f.Detail = e.account.whyNoServer(ctx).Error()
		f.Remedy = "stile servers"
		return f
	}
	e.chosen = choice{server: best, ping: pings[best.ID]}
	f.Detail = fmt.Sprintf("%d of %d answer; the best is %s", len(pings), len(list.Data), describe(&best))
	if len(pings) == 0 {
		f.State, f.Remedy = "unknown", "No ping came back; this network may block the servers. Trying a key all the same."
		return f
	}
	f.State = "ok"
	f.Detail += ", " + milliseconds(e.chosen.ping)
	return f
}

// key: does a page come through?
func (e *examination) key(ctx context.Context) finding {
	f := finding{Check: "key", State: "failed"}
	key, err := e.account.Key(ctx, wire.KeyRequest{ServerID: e.chosen.server.ID, Protocol: "shadowsocks"})
	if err != nil {
		f.Detail = e.account.remedy(err).Error()
		return f
	}
	if e.probe == "" && isPrivate(e.api) {
		f.State, f.Detail = "unknown", "issued; not tried, as servers do not reach private addresses such as "+e.api
		f.Remedy = "Name a public page to try: stile doctor --probe https://example.com/"
		return f
	}
	page := cmp.Or(e.probe, e.api+"/ping")
	took, err := loadThrough(ctx, key.Key, page)
	if err != nil {
		f.Detail = fmt.Sprintf("%s does not come through %s: %v", page, describe(&e.chosen.server), err)
		f.Remedy = "Try another server (stile servers --ping, stile key ID); if none works, this network blocks them or the page is down."
		return f
	}
	f.State, f.Detail = "ok", fmt.Sprintf("%s came through %s in %s", page, describe(&e.chosen.server), milliseconds(took))
	return f
}

// loadThrough asks for a page by way of a key; any HTTP answer is a success.
func loadThrough(ctx context.Context, key, page string) (time.Duration, error) {
	tunnel, err := client.NewTunnel(key)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: tunnel.DialContext}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return 0, err
	}
	startedAt := time.Now()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	took := time.Since(startedAt)
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	return took, errors.Join(err, response.Body.Close())
}

// isPrivate reports whether an address is one that only this machine or its network reaches.
func isPrivate(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	host := u.Hostname()
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	return !strings.Contains(host, ".") // localhost, or a name of the local network
}
