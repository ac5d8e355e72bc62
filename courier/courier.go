// Package courier sends what is in line: events to webhooks by HTTP, notices to users by mail. Several processes may run it
// on one database; each delivery goes out from one of them at a time, at least once, in no promised order.
//
// Who is told of what, and when, is not its business: the store writes that down with each change, and package vpn says what
// there is to tell.
package courier

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"stile/vpn"
)

const (
	// lookEvery is how often it is looked for what is due.
	lookEvery = 500 * time.Millisecond
	// timeout bounds one request.
	timeout = 10 * time.Second
	// minBatch deliveries of one webhook are claimed at first, and then twice as many each time, up to maxBatch, while the
	// receiver takes them within quickly; atOnce of them are under way.
	minBatch = 8
	maxBatch = 128
	quickly  = time.Second
	atOnce   = 8
)

// Store is what the courier reads and writes.
type Store interface {
	vpn.OutboxStore
	vpn.WebhookStore
}

// Config is what a courier is made of.
type Config struct {
	Store Store
	// Event reads what a receiver needs to know of a delivery: vpn.Service.Event.
	Event func(ctx context.Context, d vpn.Delivery) (*vpn.Event, error)
	// Mailer sends notices; nil = none are sent.
	Mailer vpn.Mailer
	// PublicURL is where links in mails lead to.
	PublicURL string
	// Settings name the sender of mails and the pages in them: vpn.Service.Settings.
	Settings func(ctx context.Context) vpn.Settings
	// Agent is the User-Agent of requests.
	Agent string
	// Now defaults to time.Now.
	Now func() time.Time
	// Log defaults to slog's default.
	Log *slog.Logger
}

// Courier is the sender of one process.
type Courier struct {
	cfg     Config
	client  *http.Client
	letters *letters

	mu sync.Mutex
	// lanes are the webhooks that are being served. Each has its own, so that one that hangs delays no other.
	lanes map[int64]bool
}

// New returns a courier at rest.
func New(cfg Config) (*Courier, error) {
	if cfg.Store == nil || cfg.Event == nil || cfg.Settings == nil {
		return nil, errors.New("courier: Store, Event or Settings is missing")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	texts, err := newLetters()
	if err != nil {
		return nil, fmt.Errorf("courier: %w", err)
	}
	return &Courier{cfg: cfg, client: newClient(), letters: texts, lanes: make(map[int64]bool)}, nil
}

// Run sends until ctx ends, and returns when the attempts that had begun have ended.
func (c *Courier) Run(ctx context.Context) error {
	if err := c.cfg.Store.SetMailing(ctx, c.cfg.Mailer != nil); err != nil && ctx.Err() == nil {
		return fmt.Errorf("courier: %w", err)
	}
	var serving sync.WaitGroup
	defer c.client.CloseIdleConnections()
	defer serving.Wait()
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		due, err := c.cfg.Store.DueWebhooks(ctx)
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Error("what is due cannot be read", "error", err)
		}
		for _, id := range due {
			if c.enter(id) {
				serving.Go(func() {
					defer c.leave(id)
					c.serve(ctx, id)
				})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// enter takes a webhook's lane, if it is free and has something to go on.
func (c *Courier) enter(id int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lanes[id] || (id == vpn.MailWebhook && c.cfg.Mailer == nil) {
		return false
	}
	c.lanes[id] = true
	return true
}

func (c *Courier) leave(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.lanes, id)
}

// way is how the deliveries of a webhook are sent.
type way struct {
	// try makes an attempt, within timeout, and says what came of it.
	try     func(ctx context.Context, d *vpn.Delivery) vpn.Attempt
	timeout time.Duration
	atOnce  int
	// lease is how long claimed deliveries are this process's. What may not end within it is not begun.
	lease time.Duration
}

// serve sends all that is due for a webhook.
func (c *Courier) serve(ctx context.Context, id int64) {
	for size := minBatch; ctx.Err() == nil; {
		began := time.Now()
		n, err := c.serveBatch(ctx, id, size)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, vpn.ErrNotFound) { // it may have been removed
				c.cfg.Log.Error("deliveries cannot be sent", "webhook", id, "error", err)
			}
			return
		}
		switch {
		case n < size: // the others, if there are any by now, share the next look's batch
			return
		case time.Since(began) < quickly:
			size = min(2*size, maxBatch)
		default:
			size = minBatch
		}
	}
}

// serveBatch claims some deliveries, tries them, and writes down what came of it. Its error is that of the store.
func (c *Courier) serveBatch(ctx context.Context, id int64, size int) (int, error) {
	w, err := c.way(ctx, id)
	if err != nil {
		return 0, err
	}
	claimedAt := time.Now()
	claimed, err := c.cfg.Store.ClaimDeliveries(ctx, id, w.lease, size)
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	attempts := make([]vpn.Attempt, len(claimed))
	next := make(chan int)
	var working sync.WaitGroup
	for range min(w.atOnce, len(claimed)) {
		working.Go(func() {
			for i := range next {
				d := &claimed[i]
				attempts[i] = vpn.Attempt{RetryAt: c.cfg.Now()} // not begun: for whoever comes next
				if ctx.Err() == nil && time.Since(claimedAt) < w.lease-w.timeout {
					attempts[i] = w.tryOne(ctx, d)
				}
				attempts[i].DeliveryID, attempts[i].Number = d.ID, d.Attempts
			}
		})
	}
	for i := range claimed {
		next <- i
	}
	close(next)
	working.Wait()
	return len(claimed), c.cfg.Store.EndAttempts(context.WithoutCancel(ctx), attempts)
}

// tryOne makes one attempt within its time. What has begun is ended, also when the program stops.
func (w *way) tryOne(ctx context.Context, d *vpn.Delivery) vpn.Attempt {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.timeout)
	defer cancel()
	return w.try(ctx, d)
}

func (c *Courier) way(ctx context.Context, id int64) (*way, error) {
	if id == vpn.MailWebhook {
		return &way{try: c.mail, timeout: 2 * smtpTimeout, atOnce: 1, lease: 4 * smtpTimeout}, nil
	}
	hook, secret, err := c.cfg.Store.Webhook(ctx, id)
	if err != nil {
		return nil, err
	}
	post := func(ctx context.Context, d *vpn.Delivery) vpn.Attempt {
		return c.post(ctx, hook.URL, []byte(secret), d)
	}
	return &way{try: post, timeout: timeout, atOnce: atOnce, lease: 3 * timeout}, nil
}

// failed is an attempt that is to be repeated, by the schedule.
func (c *Courier) failed(d *vpn.Delivery, status int, why string) vpn.Attempt {
	return vpn.Attempt{Status: status, Error: printable(why), RetryAt: vpn.RetryAt(d.Attempts, c.cfg.Now())}
}
