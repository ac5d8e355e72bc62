package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stile/wire"
)

const (
	// earlyDeath is the age below which the end of a stream is a sign that something on the way kills streams.
	earlyDeath = 2 * time.Minute
	// earlyDeaths in a row make the node poll.
	earlyDeaths = 3
	// pollFor is how long the node polls before it tries a stream again.
	pollFor = 10 * time.Minute
	// renewRetry is how long after a failed renewal the next is tried, at the earliest.
	renewRetry = time.Hour
)

// errStreamAgain ends polls when it is time to see whether streams last now.
var errStreamAgain = errors.New("node: polled for long enough")

// TransportConfig is what a transport is made of.
type TransportConfig struct {
	// Dir is where the identity is, which a renewal replaces.
	Dir      string
	Identity *Identity
	// Now defaults to time.Now.
	Now func() time.Time
	// Log defaults to slog's default.
	Log *slog.Logger
}

// Transport dials the control plane as a node that has joined. Its Dial is for Config.
type Transport struct {
	cfg     TransportConfig
	refused chan struct{} // closed when the node is shut out

	mu        sync.Mutex
	identity  Identity
	deaths    int       // of young streams, in a row
	pollUntil time.Time // zero: streams
	renewAt   time.Time // not before
	// spare is the connection over which the control plane asked to come back later.
	spare *control
	once  sync.Once
}

// NewTransport returns a transport.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	if cfg.Identity == nil {
		return nil, errors.New("node: Identity is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if _, _, err := cfg.Identity.parse(); err != nil {
		return nil, err
	}
	return &Transport{cfg: cfg, identity: *cfg.Identity, refused: make(chan struct{})}, nil
}

// Refused is closed when the control plane has shut this node out, which it said itself: the node must stop, and the
// identity on disk says so too.
func (t *Transport) Refused() <-chan struct{} { return t.refused }

// Dial opens a link: a stream, or polls where streams do not last. It ends with ctx.
func (t *Transport) Dial(ctx context.Context) (wire.Link, error) {
	c, err := t.connection()
	if err != nil {
		return nil, err
	}
	polls := t.mustPoll()
	open := openStream
	if polls {
		open = openPolls
	}
	l, err := open(ctx, c)
	if err != nil {
		t.notice(err)
		if refused, ok := errors.AsType[*RefusedError](err); ok && refused.Code == wire.NodeBusy {
			t.keep(c)
		} else {
			c.close()
		}
		return nil, t.explained(err)
	}
	if !polls {
		l.ended = func(lived time.Duration) {
			if ctx.Err() == nil { // the node itself goes on
				t.noteDeath(lived)
			}
		}
	}
	l.sending.Go(func() { t.attend(l) })
	return l, nil
}

// explained names the reason of a failure that the network may hide: a control plane refuses an expired certificate only
// behind the handshake, when what is left of the connection may say no more than that it broke.
func (t *Transport) explained(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, leaf, parseErr := t.identity.parse()
	if parseErr != nil || !t.cfg.Now().After(leaf.NotAfter) {
		return err
	}
	return fmt.Errorf("the node's certificate expired at %s, by this machine's clock: %w", leaf.NotAfter.Format(time.RFC3339), err)
}

// keep puts a connection by, for the next Dial: another handshake is what a busy control plane needs least.
func (t *Transport) keep(c *control) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spare = c
}

// connection is one put by, or a new one.
func (t *Transport) connection() (*control, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c := t.spare; c != nil {
		t.spare = nil
		return c, nil
	}
	authority, err := t.identity.authority()
	if err != nil {
		return nil, err
	}
	own, _, err := t.identity.parse()
	if err != nil {
		return nil, err
	}
	return newControl(t.identity.URL, authority, &own), nil
}

// notice sees whether an error is the end of this node.
func (t *Transport) notice(err error) {
	if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Code != wire.NodeRefused {
		return
	}
	t.once.Do(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.identity.IsRefused = true
		if err := t.identity.Save(t.cfg.Dir); err != nil {
			t.cfg.Log.Error("that the node is shut out cannot be written down", "error", err)
		}
		close(t.refused)
	})
}

func (t *Transport) mustPoll() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg.Now().Before(t.pollUntil)
}

// noteDeath counts streams that die young. After a time of polling one more is enough to poll again.
func (t *Transport) noteDeath(lived time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if lived >= earlyDeath {
		t.deaths = 0
		return
	}
	t.deaths++
	if t.deaths >= earlyDeaths {
		t.deaths = earlyDeaths - 1
		t.pollUntil = t.cfg.Now().Add(pollFor)
		t.cfg.Log.Warn("streams to the control plane do not last; polling instead", "for", pollFor)
	}
}

// attend looks after a live link: it renews the certificate when a third of its life is left, and ends polls in time.
func (t *Transport) attend(l *link) {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		if t.isRenewalDue() {
			if err := t.renew(l); err != nil && l.ctx.Err() == nil {
				t.cfg.Log.Error("the node's certificate cannot be renewed", "error", err, "retry_in", renewRetry)
			}
		}
		if l.body == nil && !t.mustPoll() {
			l.cancel(errStreamAgain)
		}
		select {
		case <-ticker.C:
		case <-l.ctx.Done():
			return
		}
	}
}

func (t *Transport) isRenewalDue() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, leaf, err := t.identity.parse()
	now := t.cfg.Now()
	if err != nil || now.Before(t.renewAt) || leaf.NotAfter.Sub(now) > leaf.NotAfter.Sub(leaf.NotBefore)/3 {
		return false
	}
	t.renewAt = now.Add(renewRetry)
	return true
}

// renew asks for another certificate for the node's key. The running connection stays as it is.
func (t *Transport) renew(l *link) error {
	t.mu.Lock()
	next := t.identity
	t.mu.Unlock()
	key, err := parseKey(next.Key)
	if err != nil {
		return err
	}
	if next.Membership, err = askMembership(l.ctx, l.control, wire.PathRenew, key, func(r []byte) any {
		return wire.RenewRequest{Request: r}
	}); err != nil {
		return err
	}
	_, leaf, err := next.parse()
	if err != nil {
		return err
	}
	if err := next.Save(t.cfg.Dir); err != nil {
		return err
	}
	t.mu.Lock()
	t.identity = next
	t.mu.Unlock()
	t.cfg.Log.Info("the node's certificate is renewed", "until", leaf.NotAfter)
	return nil
}

// askMembership asks for a certificate for a key; body wraps the certificate request.
func askMembership(ctx context.Context, c *control, path string, key ed25519.PrivateKey, body func(request []byte) any) (wire.Membership, error) {
	var m wire.Membership
	der, err := request(key)
	if err != nil {
		return m, err
	}
	_, err = c.ask(ctx, path, body(der), &m)
	return m, err
}
