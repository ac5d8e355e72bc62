// Package dataplane is what every protocol that carries traffic stands on: the ledger of keys with their counters,
// limits and live sessions, the egress that no address of ours or of a private network can be reached through, and the
// relay that moves bytes between a client and a target.
//
// It speaks no protocol and knows no credential: a plane (package shadowsocks and its siblings) authenticates, admits a
// session to the ledger, dials through the egress, relays, and is done. Nothing here logs or keeps an address.
package dataplane

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Key is one access key as a node knows it. A key's seed never changes; another seed is another key.
type Key struct {
	// ID names the key on this node.
	ID int64
	// Seed is the secret that every protocol's credential derives from.
	Seed [32]byte
	// Limits bound the key's traffic; a change reaches the sessions that are running.
	Limits Limits
	// NotAfter is when the key stops working: its sessions end and new ones are refused. Zero means never; a moment in
	// the past suspends the key until it is moved forward again.
	NotAfter time.Time
}

// Format prints the key's number for every verb, never its seed.
func (k Key) Format(state fmt.State, _ rune) {
	_, _ = io.WriteString(state, "key "+strconv.FormatInt(k.ID, 10))
}

// mostSessions is how many sessions a key has at once without a limit of its own, and with a higher one: many more than a device
// opens, and few enough that one user cannot take what the node has of memory and file descriptors.
const mostSessions = 4096

// Limits bound all sessions of a key together. Zero means no limit.
type Limits struct {
	// UpBytesPerSecond bounds what clients send, DownBytesPerSecond what they receive.
	UpBytesPerSecond   int64
	DownBytesPerSecond int64
	// MaxSessions bounds how many sessions (TCP connections and UDP associations) are open at once; a key has 4,096 at most.
	MaxSessions int
}

// KeyUsage is what a key has used since the process started.
type KeyUsage struct {
	KeyID int64
	// Up and Down count bytes of payload that clients sent and received.
	Up   int64
	Down int64
	// Sessions is how many are open now.
	Sessions int
	// LastTrafficAt is when the last byte was counted, to the millisecond; zero if none was.
	LastTrafficAt time.Time
}

// Plane serves one protocol. Its constructor listens, so that a busy port is an error before anything runs; Run serves.
// The ledger given to the constructor is shared by all planes of a node; the node applies every change to the ledger
// first, which ends sessions and refuses new ones, and then to each plane, which learns or forgets credentials.
type Plane interface {
	// Protocol is the name that the API uses, for example "shadowsocks".
	Protocol() string
	// Apply learns and forgets keys while the plane serves; with full, put is the whole set and every other key is
	// forgotten. It is idempotent, costs in proportion to its arguments and disturbs no other key.
	Apply(put []Key, remove []int64, full bool) error
	// Run serves until Close, or until ctx ends, which cuts every session. It returns nil after either.
	Run(ctx context.Context) error
	// Close stops accepting, lets sessions finish until ctx ends, then cuts what is left. It returns when everything
	// that the plane started has ended, with ctx's error if it had to cut. A second call waits for the first.
	Close(ctx context.Context) error
}
