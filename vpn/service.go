package vpn

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Passwords is the port to password hashing: slow on purpose, bounded in memory.
type Passwords interface {
	// Hash returns the PHC string of a password.
	Hash(ctx context.Context, password string) (string, error)
	// Verify does the same work whether or not hash is "", and reports a match and whether the hash is weaker than new
	// ones. Its error wraps ErrBusy when too many sign-ins wait already.
	Verify(ctx context.Context, hash, password string) (ok, weak bool, err error)
	// Reads reports whether a hash is of a kind that Verify can check.
	Reads(hash string) bool
}

// Config is what a Service needs besides its ports. Zero values are replaced by the defaults named.
type Config struct {
	// SignInFailures is how many failed sign-ins a minute an account may have from one address (default 5); an address
	// may have six times as many over all accounts.
	SignInFailures int
	// KeyWait bounds how long IssueKey waits for the node (default 2 s).
	KeyWait time.Duration
	// Fixed are the settings that the command line sets, which win over those in the database; Defaults are those that nobody
	// set (Brand "Stile", SignUp closed).
	Fixed, Defaults Settings
	// Post writes a letter and hands it to the mail server; nil = there is none.
	Post func(ctx context.Context, l Letter) error
	// Observer is told what happens; nil = nobody.
	Observer Observer
	Now      func() time.Time // default time.Now
	Log      *slog.Logger     // default slog.Default
}

// Service is the use cases. Its methods may be called from many goroutines.
type Service struct {
	store     Store
	nodes     Nodes
	passwords Passwords
	log       *slog.Logger
	clock     func() time.Time
	fixed     Settings
	defaults  Settings
	post      func(ctx context.Context, l Letter) error
	keyWait   time.Duration
	observer  Observer

	actors       *cache[TokenHash, *Actor]
	entitlements *cache[int64, *Entitlement]
	settings     *cache[struct{}, *Settings]
	directory    directory
	signIns      *signInThrottle
	keyCalls     *callThrottle
	vouchers     *callThrottle
	letters      *callThrottle
	mailRequests chan mailRequest
	// away is since when nodes are away: NoticeNow's own.
	away    map[int64]time.Time
	counted counted
	// jobs wakes RunJobs.
	jobs    chan struct{}
	rollout atomic.Pointer[Rollout]
}

// NewService joins the domain to its ports.
func NewService(store Store, nodes Nodes, passwords Passwords, cfg Config) *Service {
	if cfg.SignInFailures == 0 {
		cfg.SignInFailures = 5
	}
	if cfg.KeyWait == 0 {
		cfg.KeyWait = 2 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Observer == nil {
		cfg.Observer = blind{}
	}
	s := &Service{
		store: store, nodes: nodes, passwords: passwords, log: cfg.Log, clock: cfg.Now, keyWait: cfg.KeyWait,
		fixed: cfg.Fixed, defaults: cfg.Defaults.over(Settings{Brand: "Stile", SignUp: SignUpClosed}), post: cfg.Post,
		observer: cfg.Observer, away: make(map[int64]time.Time), counted: counted{turn: make(chan struct{}, 1)},
		jobs: make(chan struct{}, 1),
	}
	epochs := new(userEpochs)
	s.actors = newCache[TokenHash, *Actor](epochs, s.now)
	s.entitlements = newCache[int64, *Entitlement](epochs, s.now)
	s.settings = newCache[struct{}, *Settings](epochs, s.now)
	s.signIns = newSignInThrottle(cfg.SignInFailures, s.now)
	s.keyCalls = newCallThrottle(keyBurst, keyInterval, s.now)
	s.letters, s.mailRequests = newCallThrottle(letterBurst, letterInterval, s.now), make(chan mailRequest, maxRequests)
	s.vouchers = newCallThrottle(voucherBurst, voucherInterval, s.now)
	return s
}

// now is the clock in UTC and whole milliseconds, as everything is kept.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// Now is the service's clock.
func (s *Service) Now() time.Time { return s.now() }

// changed makes a change of a user's state visible to this process at once, and wakes the nodes it concerns.
func (s *Service) changed(userID int64, nodes []NodeRev) {
	s.actors.epochs.bump(userID)
	s.nodes.Wake(nodes...)
}

// entitlement returns a user's subscription and plan, at most a second old and never older than a local change.
func (s *Service) entitlement(ctx context.Context, userID int64) (*Entitlement, error) {
	return s.entitlements.get(userID, func() (*Entitlement, int64, error) {
		e, err := s.store.Entitlement(ctx, userID)
		return &e, userID, err
	})
}
