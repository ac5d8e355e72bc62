// Package storetest holds what every vpn.Store must do, as tests that run against any of them (Run), and starts the
// throw-away PostgreSQL on which the tests of this project run (Postgres).
//
// It tests through the port only: what an engine does inside is the matter of its own tests.
package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stile/accesskey"
	"stile/vpn"
)

// Run runs the conformance suite, its stories side by side. open returns a store that is empty, and another one on the same
// database, as another process has it: what many do at once they do on both, since the writes of one come one after the other. The
// suite closes them.
func Run(t *testing.T, open func(t *testing.T) (store, peer vpn.Store)) {
	for _, story := range slices.Concat(ofPeople(), ofServers(), ofService()) {
		t.Run(story.name, func(t *testing.T) {
			t.Parallel()
			w := &world{T: t, ctx: t.Context()}
			w.store, w.peer = open(t)
			t.Cleanup(func() { w.ok(errors.Join(w.store.Close(), w.peer.Close())) })
			story.tell(w)
		})
	}
}

// story is one part of what a store promises.
type story struct {
	name string
	tell func(*world)
}

// ofPeople are the stories of accounts, and of what they sign in by and pay for.
func ofPeople() []story {
	return []story{
		{"users", users},
		{"user pages", userPages},
		{"credentials and status", credentials},
		{"removed user", removedUser},
		{"sessions", sessions},
		{"api tokens", apiTokens},
		{"browsers", browsers},
		{"second factors", secondFactors},
		{"codes under load", codesUnderLoad},
		{"codes of sessions", codesOfSessions},
		{"counted codes", countedCodes},
		{"added devices", addedDevices},
		{"addresses", addresses},
		{"token limit under load", tokenLimitUnderLoad},
		{"token scopes", tokenScopes},
		{"roles", roles},
		{"last owner under load", lastOwnerUnderLoad},
		{"counts", counts},
		{"traffic of nodes", nodeTraffic},
		{"keys of a user", userKeys},
		{"pages of payments", paymentPages},
		{"server states", serverStates},
		{"signed-out user", signedOutUser},
		{"audit chain", auditChain},
		{"audit chain under load", auditChainUnderLoad},
		{"audit of a user", userAudit},
		{"answers", answers},
		{"password resets", passwordResets},
		{"filtered users", filteredUsers},
		{"device slots", deviceSlots},
		{"device slots under load", deviceSlotsUnderLoad},
		{"devices", devices},
		{"plans", plans},
		{"subscriptions", subscriptions},
		{"users due", usersDue},
		{"users due by many", spreadDue},
	}
}

// ofServers are the stories of servers, their nodes, keys and traffic.
func ofServers() []story {
	return []story{
		{"servers", servers},
		{"removed server", removedServer},
		{"keys", keys},
		{"keys of nobody", keysOfNobody},
		{"rotation", rotation},
		{"judged", judged},
		{"imports", imports},
		{"payments", payments},
		{"vouchers", vouchers},
		{"next plans", nextPlans},
		{"glance", glance},
		{"one key under load", oneKeyUnderLoad},
		{"key said to be new", keySaidToBeNew},
		{"many keys under load", manyKeysUnderLoad},
		{"mixed writes under load", mixedWritesUnderLoad},
		{"revoke against issue", revokeAgainstIssue},
		{"refresh", refresh},
		{"tiers", tiers},
		{"node changes", nodeChanges},
		{"node snapshot", nodeSnapshot},
		{"tombstones", tombstones},
		{"entombed keys", entombedKeys},
		{"epochs", epochs},
		{"epochs under load", epochsUnderLoad},
		{"random changes", randomChanges},
		{"usage", usage},
		{"usage once", usageOnce},
		{"old cursors", oldCursors},
		{"usage of many keys", usageOfManyKeys},
		{"usage of strangers", usageOfStrangers},
		{"quota", quota},
		{"authority", authority},
		{"join tokens", joinTokens},
		{"join token under load", joinTokenUnderLoad},
		{"revoked node", revokedNode},
		{"node statuses", nodeStatuses},
	}
}

// ofService are the stories of the service itself: settings, sign-up, roll-outs, what is told to others.
func ofService() []story {
	return []story{
		{"settings", settings},
		{"invitations", invitations},
		{"sign-up under load", signUpUnderLoad},
		{"pending sign-ups", pendingSignUps},
		{"reset that keeps devices", resetKeepsDevices},
		{"passkeys", passkeys},
		{"countless passkeys", countlessPasskeys},
		{"configured nodes", configuredNodes},
		{"roll-outs", rollouts},
		{"roll-outs under load", rolloutsUnderLoad},
		{"setup link", setupLink},
		{"setup link under load", setupLinkUnderLoad},
		{"audit", audit},
		{"webhooks", webhooks},
		{"events", events},
		{"deliveries", deliveries},
		{"deliveries under load", deliveriesUnderLoad},
		{"jobs", jobs},
		{"node events", nodeEvents},
		{"expiry events", expiryEvents},
		{"many expiries", manyExpiries},
		{"quota events", quotaEvents},
		{"mail refusals", mailRefusals},
		{"contexts", contexts},
	}
}

// parallel is the number of callers in the stories under load.
const parallel = 64

// world is a store with what the stories do to it. Its helpers fail the test when the store does.
type world struct {
	*testing.T
	ctx   context.Context //nolint:containedctx // lives as long as one test
	store vpn.Store
	peer  vpn.Store
	turns atomic.Int64

	mu   sync.Mutex
	last int
}

// ok fails on an error.
func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// is fails unless got is want.
func is[T comparable](w *world, what string, got, want T) {
	w.Helper()
	if got != want {
		w.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// any is the store and its peer in turns.
func (w *world) any() vpn.Store {
	if w.turns.Add(1)%2 == 0 {
		return w.peer
	}
	return w.store
}

// unique returns a number not returned before.
func (w *world) unique() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last++
	return w.last
}

// by is an audit entry of the given action, by the command line.
func by(action string) vpn.Audit { return vpn.Audit{Action: action} }

// hash is a token's hash that stands for n.
func hash(n int) (h vpn.TokenHash) {
	copy(h[:], "token "+strconv.Itoa(n))
	return h
}

// today is a day on which traffic is booked.
var today = time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go cannot declare as one

func (w *world) user() vpn.User {
	w.Helper()
	u, err := w.store.AddUser(w.ctx, vpn.NewUser{Email: "user" + strconv.Itoa(w.unique()) + "@example.com", Locale: "ru"}, by("user.add"))
	w.ok(err)
	return u
}

func (w *world) plan(p vpn.Plan) vpn.Plan {
	w.Helper()
	p.Code = "plan" + strconv.Itoa(w.unique())
	p, err := w.store.AddPlan(w.ctx, p, by("plan.add"))
	w.ok(err)
	return p
}

func (w *world) server() vpn.Server {
	w.Helper()
	s, err := w.store.AddServer(w.ctx, vpn.Server{Name: "server" + strconv.Itoa(w.unique())}, by("server.add"))
	w.ok(err)
	return s
}

// signIn signs a new device in.
func (w *world) signIn(userID int64) (vpn.SignedIn, vpn.TokenHash) {
	w.Helper()
	n := w.unique()
	s := vpn.NewSession{
		UserID: userID, ClientID: "client" + strconv.Itoa(n), Name: "Device", Platform: vpn.PlatformLinux, TokenHash: hash(n), DeviceLimit: 1000,
	}
	in, err := w.store.SignIn(w.ctx, s, by("device.sign_in"))
	w.ok(err)
	return in, s.TokenHash
}

// newKey is a key to be asked for, with a seed of its own.
func (w *world) newKey(userID, deviceID, serverID int64) vpn.NewKey {
	w.Helper()
	seed, err := accesskey.New()
	w.ok(err)
	return vpn.NewKey{UserID: userID, DeviceID: deviceID, ServerID: serverID, Seed: seed}
}

func (w *world) issue(k vpn.NewKey) vpn.Key {
	w.Helper()
	key, err := w.store.IssueKey(w.ctx, k, by("key.issue"))
	w.ok(err)
	return key
}

// together calls f so many times at once and returns the errors in no order.
func together(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			errs[i] = f(i)
		})
	}
	start.Done()
	done.Wait()
	return errs
}
