package cli_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"stile/wire"
)

// crashRounds is how often the program is killed; `make soak` sets it to 200.
func crashRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("STILE_TEST_CRASH_ROUNDS")
	if text == "" {
		return 3
	}
	rounds, err := strconv.Atoi(text)
	if err != nil || rounds < 1 {
		t.Fatalf("STILE_TEST_CRASH_ROUNDS=%q: want a number of rounds", text)
	}
	return rounds
}

// kill -9 at a random moment while 64 writers replace keys: what was answered is there afterwards, and what it replaced
// is not.
func TestKillLosesNothing(t *testing.T) {
	const writers = 64
	engines(t, func(t *testing.T, dsn string) {
		m := newMachine(t, dsn)
		devices := make([]*device, writers)
		for i := range devices {
			if i%8 == 0 {
				m.addUser(fmt.Sprintf("user%d@example.com", i/8))
			}
			devices[i] = m.signIn(fmt.Sprintf("user%d@example.com", i/8), fmt.Sprintf("device-%d", i))
		}
		server := devices[0].key().ServerID
		total := 0
		for round := range crashRounds(t) {
			keys := issueUntilKilled(m, devices, server)
			m.start()
			for d, acknowledged := range keys {
				total++
				d.checkAfterKill(round, acknowledged)
			}
		}
		if total == 0 {
			t.Fatal("no key was acknowledged in any round")
		}
		t.Logf("%d acknowledged keys survived", total)
	})
}

// checkAfterKill holds that the device's key is the acknowledged one, or one that replaced it in a call whose answer the
// kill swallowed; never an older one, never none.
func (d *device) checkAfterKill(round int, acknowledged wire.IssuedKey) {
	d.m.t.Helper()
	var list wire.ServersResponse
	if status := d.post("/api/servers", map[string]any{}, &list); status != http.StatusOK || len(list.Data) == 0 || !list.Data[0].HasKey {
		d.m.t.Fatalf("round %d: status %d, the acknowledged key %d is gone", round, status, acknowledged.KeyID)
	}
	got := d.key()
	switch {
	case got.KeyID < acknowledged.KeyID:
		d.m.t.Fatalf("round %d: key %d is back, which the acknowledged %d had replaced", round, got.KeyID, acknowledged.KeyID)
	case got.KeyID == acknowledged.KeyID && got.Shadowsocks.Password != acknowledged.Shadowsocks.Password:
		d.m.t.Fatalf("round %d: key %d has another secret than was acknowledged", round, got.KeyID)
	}
}

// issueUntilKilled replaces the keys of all devices at once, kills the program at a random moment after the first answer, and
// returns the last acknowledged key of each device.
func issueUntilKilled(m *machine, devices []*device, server int64) map[*device]wire.IssuedKey {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answered := make(chan struct{}, 1)
	var mu sync.Mutex
	keys := make(map[*device]wire.IssuedKey)
	var wg sync.WaitGroup
	for _, d := range devices {
		wg.Go(func() {
			for range 30 { // within the throttle of an account
				var got wire.IssuedKey
				status, err := d.call(ctx, http.MethodPost, "/api/key", map[string]any{"server_id": server, "rotate": true}, &got)
				if err != nil {
					return
				}
				if status == http.StatusOK {
					mu.Lock()
					keys[d] = got
					mu.Unlock()
					select {
					case answered <- struct{}{}:
					default:
					}
				}
			}
		})
	}
	select {
	case <-answered: // or there would be nothing to lose
	case <-ctx.Done():
	}
	time.Sleep(rand.N(400 * time.Millisecond))
	m.kill()
	wg.Wait()
	return keys
}
