package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stile/wire"
)

// clockLimit is how far the node's clock may be off: deadlines of keys and some protocols go by it.
const clockLimit = 30 * time.Second

// clockRemedy is what to do when it is further off.
const clockRemedy = "Set it: sudo timedatectl set-ntp true"

// Finding is what one step of joining, or of looking whether the node can link, came to.
type Finding struct {
	Check  string
	Detail string
	// Err is nil when the step went well. Remedy says what to do otherwise.
	Err    error
	Remedy string
}

// visit goes to a control plane step by step, and tells each.
type visit struct {
	url    string
	pin    [32]byte
	now    func() time.Time
	report func(Finding)

	authority *x509.Certificate
}

// tell reports a step and returns its error.
func (v *visit) tell(f Finding) error {
	v.report(f)
	if f.Err != nil {
		return fmt.Errorf("%s: %w", f.Check, f.Err)
	}
	return nil
}

// reach goes the way up to knowing that the control plane is at the other end, and that the clocks agree.
func (v *visit) reach(ctx context.Context) error {
	for _, step := range []func(context.Context) Finding{v.resolve, v.connect, v.meet} {
		if err := v.tell(step(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// address is the host and port of the URL.
func (v *visit) address() (host, port string) {
	u, err := url.Parse(v.url)
	if err != nil { // it was checked
		return "", ""
	}
	if u.Port() == "" {
		return u.Hostname(), "443"
	}
	return u.Hostname(), u.Port()
}

func (v *visit) resolve(ctx context.Context) Finding {
	host, _ := v.address()
	f := Finding{Check: "name"}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var found []string
	if found, f.Err = net.DefaultResolver.LookupHost(ctx, host); f.Err != nil {
		f.Detail = fmt.Sprintf("%s does not resolve: %v", host, f.Err)
		f.Remedy = "Check this machine's DNS (/etc/resolv.conf); if the name is wrong, set the right one by `stile serve --nodes-url` and make a new token by `stile server join`."
		return f
	}
	f.Detail = host + " is " + strings.Join(found[:min(3, len(found))], ", ")
	return f
}

func (v *visit) connect(ctx context.Context) Finding {
	host, port := v.address()
	address := net.JoinHostPort(host, port)
	f := Finding{Check: "connection"}
	began := time.Now()
	dialer := net.Dialer{Timeout: dialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		_ = conn.Close()
		f.Detail = fmt.Sprintf("%s answers in %v", address, time.Since(began).Round(time.Millisecond))
		return f
	}
	f.Err = err
	switch timeout := net.Error(nil); {
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Detail = "nothing listens on " + address
		f.Remedy = "Start `stile serve --nodes-listen :" + port + "` on the control plane, and check the port."
	case errors.As(err, &timeout) && timeout.Timeout():
		f.Detail = fmt.Sprintf("no answer from %s within %v", address, dialTimeout)
		f.Remedy = "Open TCP port " + port + " in the firewalls of the control plane and of its provider, and outgoing here."
	default:
		f.Detail = fmt.Sprintf("%s cannot be reached: %v", address, err)
		f.Remedy = "Check this machine's network and its route to the control plane."
	}
	return f
}

// meet checks that it is the control plane of the pin, and looks at its clock.
func (v *visit) meet(ctx context.Context) Finding {
	f := Finding{Check: "control plane"}
	anyone := newControl(v.url, nil, nil)
	defer anyone.close()
	var control wire.ControlPlane
	chain, err := anyone.ask(ctx, wire.PathControl, nil, &control)
	if err != nil {
		f.Err, f.Detail = err, fmt.Sprintf("%s does not answer as Stile does: %v", v.url, err)
		f.Remedy = "Check that the port is the one of `stile serve --nodes-listen`, and that no proxy stands before it: nodes and the control plane check each other's certificates."
		return f
	}
	v.authority, err = checkAuthority(control.Authority, v.pin)
	if err == nil {
		// The same connection: whoever holds the certified key has answered.
		err = checkControl(chain, v.authority)
	}
	if err != nil {
		f.Err, f.Detail = err, v.url+" is not the control plane that made the token"
		f.Remedy = "If the control plane was set up anew, make a new token by `stile server join`. If not, somebody is in between: do not go on."
		return f
	}
	f.Detail = "its certificate is the pinned one; version " + control.Version
	v.report(f)
	return v.clock(control.Time)
}

func (v *visit) clock(theirs int64) Finding {
	f := Finding{Check: "clock"}
	off := v.now().Sub(time.UnixMilli(theirs)).Round(time.Second)
	if off.Abs() > clockLimit {
		f.Detail = fmt.Sprintf("the clock of this machine is off by %v", off)
		f.Err, f.Remedy = errors.New(f.Detail), clockRemedy
		return f
	}
	f.Detail = "agrees with the control plane's"
	return f
}

// refusal is a finding about an answer that is no success.
func refusal(check string, nodeID int64, err error) Finding {
	f := Finding{Check: check, Err: err, Detail: err.Error()}
	again := "Make a new token where the control plane is: stile server join " + strconv.FormatInt(nodeID, 10)
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok {
		return alert(f, err, again)
	}
	switch refused.Code {
	case wire.NodeTokenUsed:
		f.Detail, f.Remedy = "the token was used already", again
	case wire.NodeTokenExpired:
		f.Detail, f.Remedy = "the token is older than an hour", again
	case wire.NodeTokenUnknown:
		f.Detail, f.Remedy = "the token is not valid: a newer one replaced it, or the node was revoked, or its server is gone", again
	case wire.NodeRefused:
		f.Remedy = again
	case wire.NodeBusy, wire.NodeServerError:
		f.Remedy = "Try again in a minute; if it stays so, look into the log of `stile serve`."
	default:
		f.Remedy = "Run the same version of Stile on both machines."
	}
	return f
}

// alert is a finding about a failed connection; the control plane's opinion of our certificate comes as such.
func alert(f Finding, err error, again string) Finding {
	var tlsAlert tls.AlertError
	switch {
	case strings.Contains(err.Error(), "expired certificate"):
		f.Detail, f.Remedy = "the node's certificate has expired", again
	case errors.As(err, &tlsAlert), strings.Contains(err.Error(), "tls: "):
		f.Detail, f.Remedy = "the control plane does not accept the node's certificate: "+err.Error(), again
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		f.Remedy = "Something on the way ended the connection; try again, and from another network."
	default:
		f.Remedy = "Try again; if it stays so, look into the log of `stile serve`."
	}
	return f
}
