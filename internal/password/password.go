// Package password turns passwords into stored hashes and checks them, at a cost that an attacker who floods the sign-in
// page can't raise: so many computations at a time, so many callers waiting, and an error for everybody beyond.
//
// New hashes are argon2id in the PHC string format. Hashes that came with imported users (argon2id with other
// parameters, bcrypt) verify too, within bounds, and are reported as due for a new one.
//
// It knows nothing about accounts, does not throttle by name or address (the caller does, before it asks for work here),
// and sets no rule for what a good password is.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// ErrBusy says that as many callers as allowed are already waiting for their turn. Nothing was computed; the caller
// should answer "try again later".
var ErrBusy = errors.New("password: too many computations are waiting")

// waitingPerTurn is the default length of the queue for each computation that may run: at about 22 ms each, the last in
// the queue waits a second and a half.
const waitingPerTurn = 64

// Options bounds the work of a Hasher. The zero value is right for a server.
type Options struct {
	// Parallel is how many computations run at once, each on one core and with 19 MiB of memory. 0 means all cores but
	// one, and at least one: the rest of the program stays quick while somebody floods the sign-in.
	Parallel int
	// Waiting is how many callers may wait for a turn. 0 means 64 for each parallel computation; negative means none.
	Waiting int
}

// Hasher computes and checks password hashes within its Options. It is safe for use by many goroutines at once.
type Hasher struct {
	turns      chan struct{} // holds one element for each running computation
	waiting    atomic.Int64
	maxWaiting int64
}

// New returns a Hasher with the given bounds.
func New(opts Options) *Hasher {
	if opts.Parallel <= 0 {
		opts.Parallel = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if opts.Waiting == 0 {
		opts.Waiting = waitingPerTurn * opts.Parallel
	}
	return &Hasher{
		turns:      make(chan struct{}, opts.Parallel),
		maxWaiting: int64(max(0, opts.Waiting)),
	}
}

// Hash returns the argon2id hash of password with a new random salt, as a PHC string to store.
//
// The error is ErrBusy when the queue is full, or wraps the context's error when ctx ends while waiting.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.take(ctx); err != nil {
		return "", err
	}
	defer h.release()
	fresh := phc{cost: current, salt: make([]byte, saltLen)}
	rand.Read(fresh.salt) // never fails: crypto/rand ends the program instead
	fresh.sum = fresh.derive(password)
	return fresh.String(), nil
}

// Verify reports whether password is the one that hash was made from. rehash is true only together with ok, and says
// that the hash is of another kind or cost than Hash makes today: store a new one while the password is at hand.
//
// An empty hash, for an account that doesn't exist or has no password, is never ok, and takes the same work as a real
// one, so that the answer's time tells nobody which names exist. Imported hashes of another cost take another time until
// their first sign-in; that difference can't be hidden.
//
// The error is ErrBusy when the queue is full, wraps the context's error when ctx ends while waiting, and is ErrFormat
// for a hash that is of no known format or costs more than the bounds allow: none of them says anything about the
// password.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (ok, rehash bool, err error) {
	if isBcrypt(hash) {
		return h.verifyBcrypt(ctx, hash, password)
	}
	stored := phc{cost: current, salt: make([]byte, saltLen)} // the dummy; its missing sum matches nothing
	if hash != "" {
		if stored, err = parsePHC(hash); err != nil {
			return false, false, err
		}
	}
	if err := h.take(ctx); err != nil {
		return false, false, err
	}
	defer h.release()
	ok = subtle.ConstantTimeCompare(stored.derive(password), stored.sum) == 1
	return ok, ok && stored.outdated(), nil
}

// Reads reports whether Verify can check a stored hash: one of a known format, within the bounds.
func (*Hasher) Reads(hash string) bool {
	if isBcrypt(hash) {
		return checkBcrypt(hash) == nil
	}
	_, err := parsePHC(hash)
	return err == nil
}

func (h *Hasher) verifyBcrypt(ctx context.Context, hash, password string) (ok, rehash bool, err error) {
	if err := checkBcrypt(hash); err != nil {
		return false, false, err
	}
	if err := h.take(ctx); err != nil {
		return false, false, err
	}
	defer h.release()
	err = bcrypt.CompareHashAndPassword([]byte(hash), []byte(password))
	if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return true, true, nil
}

// take waits for a turn. Turns are given in the order of asking.
func (h *Hasher) take(ctx context.Context) error {
	select {
	case h.turns <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.maxWaiting {
		h.waiting.Add(-1)
		return ErrBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("password: wait for a turn: %w", ctx.Err())
	}
}

func (h *Hasher) release() { <-h.turns }

// Load is how many computations run now, and how many callers wait for a turn.
func (h *Hasher) Load() (running, waiting int) { return len(h.turns), int(h.waiting.Load()) }

// derive computes the key of password under p's salt and cost: one core for about 22 ms and 19 MiB at the current cost.
func (p phc) derive(password string) []byte {
	length := uint32(sumLen)
	if len(p.sum) > 0 {
		length = uint32(len(p.sum)) // at most maxSumLen
	}
	return argon2.IDKey([]byte(password), p.salt, p.cost.passes, p.cost.memoryKiB, p.cost.lanes, length)
}
