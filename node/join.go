package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stile/wire"
)

// joinTries is how often a control plane that has too much to do, or whose answer was lost, is asked again.
const joinTries = 5

// JoinConfig says what joins where.
type JoinConfig struct {
	// Dir becomes the node's directory.
	Dir   string
	Token wire.JoinToken
	// Report is told each step.
	Report func(Finding)
	// Now defaults to time.Now.
	Now func() time.Time
}

// Join makes this machine the node that the token is for: it makes a key, has it certified, keeps the identity in Dir,
// and sees that the control plane knows it. Each step is reported, the failed one too, which is the error.
func Join(ctx context.Context, cfg JoinConfig) (*Identity, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &visit{url: cfg.Token.URL, pin: cfg.Token.Authority, now: cfg.Now, report: cfg.Report}
	if err := v.reach(ctx); err != nil {
		return nil, err
	}
	id, err := v.redeem(ctx, cfg.Dir, &cfg.Token)
	if err != nil {
		return nil, err
	}
	return id, v.link(ctx, id)
}

// redeem gets a certificate for a key that is made now, or was made for a redemption whose answer was lost.
func (v *visit) redeem(ctx context.Context, dir string, t *wire.JoinToken) (*Identity, error) {
	f := Finding{Check: "token"}
	key, der, err := joiningKey(dir, t)
	if err != nil {
		f.Err, f.Detail, f.Remedy = err, err.Error(), "Choose a directory that can be written with --data, or run as the user who owns it."
		return nil, v.tell(f)
	}
	c := newControl(t.URL, v.authority, nil)
	defer c.close()
	var m wire.Membership
	for try := 1; ; try++ {
		m, err = askMembership(ctx, c, wire.PathJoin, key, func(r []byte) any {
			return wire.JoinRequest{NodeID: t.NodeID, Secret: t.Secret[:], Request: r}
		})
		pause, again := isWorthRepeating(err)
		if !again || try == joinTries {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	if err != nil {
		return nil, v.tell(refusal(f.Check, t.NodeID, err))
	}
	id := &Identity{NodeID: t.NodeID, URL: t.URL, Key: der, Pin: t.Authority[:], Membership: m}
	f.Detail = fmt.Sprintf("accepted for server %d, %q", id.NodeID, id.Name)
	if err := v.tell(f); err != nil {
		return nil, err
	}
	return id, v.keep(dir, id)
}

// isWorthRepeating reports whether a redemption can go well later, and when.
func isWorthRepeating(err error) (time.Duration, bool) {
	if err == nil {
		return 0, false
	}
	refused, ok := errors.AsType[*RefusedError](err)
	switch {
	case !ok:
		return time.Second, true // the answer may be lost; the same key may ask again
	case refused.Code == wire.NodeBusy, refused.Code == wire.NodeServerError:
		return max(time.Second, refused.RetryAfter), true
	}
	return 0, false
}

// keep checks the certificate and writes the identity down.
func (v *visit) keep(dir string, id *Identity) error {
	f := Finding{Check: "certificate"}
	_, leaf, err := id.parse()
	if err == nil {
		err = id.Save(dir)
	}
	if err != nil {
		f.Err, f.Detail, f.Remedy = err, err.Error(), "Free some space or choose another directory with --data, and run the same command again within ten minutes."
		return v.tell(f)
	}
	if err := os.Remove(filepath.Join(dir, joiningName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.Detail = "; " + err.Error()
	}
	f.Detail = "valid until " + leaf.NotAfter.UTC().Format(time.DateOnly) + ", and renewed by itself; kept in " + dir + f.Detail
	return v.tell(f)
}

// link sees that the control plane knows the node by its certificate.
func (v *visit) link(ctx context.Context, id *Identity) error {
	f := Finding{Check: "link"}
	own, _, err := id.parse()
	if err != nil {
		return err
	}
	c := newControl(id.URL, v.authority, &own)
	defer c.close()
	var m wire.Membership
	if _, err := c.ask(ctx, wire.PathSelf, nil, &m); err != nil {
		return v.tell(refusal(f.Check, id.NodeID, err))
	}
	f.Detail = fmt.Sprintf("the control plane knows this machine as server %d, %q", id.NodeID, m.Name)
	return v.tell(f)
}

// Examine looks whether the node of a directory can link now. Each step is reported up to the one that fails, which is
// the error.
func Examine(ctx context.Context, dir string, now func() time.Time, report func(Finding)) error {
	v := &visit{now: now, report: report}
	if v.now == nil {
		v.now = time.Now
	}
	f := Finding{Check: "identity"}
	id, err := LoadIdentity(dir)
	switch {
	case errors.Is(err, ErrNoIdentity):
		f.Err, f.Detail = err, "no node has joined from "+dir
		f.Remedy = "Paste the line that `stile server add` or `stile server join` prints; if it was done, name its directory with --data."
		return v.tell(f)
	case err != nil:
		f.Err, f.Detail, f.Remedy = err, err.Error(), "Run this as the user of the node, or join again."
		return v.tell(f)
	case id.IsRefused:
		f = refusal(f.Check, id.NodeID, &RefusedError{Status: 403, Code: wire.NodeRefused})
		return v.tell(f)
	}
	f.Detail = fmt.Sprintf("server %d, %q, of %s", id.NodeID, id.Name, id.URL)
	if err := v.tell(f); err != nil {
		return err
	}
	v.url, v.pin = id.URL, [32]byte(id.Pin)
	if err := v.reach(ctx); err != nil {
		return err
	}
	if err := v.tell(v.certificate(id)); err != nil {
		return err
	}
	return v.link(ctx, id)
}

func (v *visit) certificate(id *Identity) Finding {
	f := Finding{Check: "certificate"}
	until, err := id.CertifiedUntil()
	left := until.Sub(v.now())
	switch {
	case err != nil:
		f.Err, f.Detail, f.Remedy = err, err.Error(), "Join again."
	case left <= 0:
		f.Detail = "expired on " + until.UTC().Format(time.DateOnly)
		f.Err = errors.New(f.Detail)
		f.Remedy = fmt.Sprintf("Make a new token where the control plane is: stile server join %d", id.NodeID)
	default:
		f.Detail = fmt.Sprintf("valid for %d days more", int(left.Hours()/24))
	}
	return f
}
