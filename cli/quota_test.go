package cli_test

import (
	"net/http"
	"testing"
	"time"

	"stile/wire"
)

// A user at the limit is cut within 5 seconds of crossing it by more than 1 MiB, though two nodes carry the traffic and neither
// knows of the other, at the interval of reports that is the default. A busy machine may be late, or give one node all its time,
// but not three times.
func TestQuotaAcrossTwoNodes(t *testing.T) {
	const quota, margin, limit = 8e6, 1 << 20, 5 * time.Second
	m := newMachine(t, "", "--nodes-listen", "127.0.0.1:"+freePort(t), "--usage-every", "3s")
	m.stile("plan", "add", "small", "--devices", "5", "--days", "30", "--tier", "1", "--traffic", "8MB")
	n := m.joinNode([]string{"--ports", freePort(t)}, "--usage-every", "3s")
	site := endless(t)
	var late []time.Duration
	alone := 0
	for range 3 {
		const email = "user@example.com"
		m.addUser(email)
		m.stile("user", "subscribe", email, "small")
		d := m.signIn(email, "laptop")
		keys := map[int64]string{}
		m.until("both servers have a key", func() bool {
			var list wire.ServersResponse
			d.post("/api/servers", nil, &list)
			for _, s := range list.Data {
				var key wire.IssuedKey
				if status := d.post("/api/key", map[string]any{"server_id": s.ID}, &key); status == http.StatusOK && key.Ready {
					keys[s.ID] = key.Key
				}
			}
			return len(keys) == 2
		})
		if keys[n.server] == "" {
			t.Fatalf("no key on the joined node: %v\n%s", keys, n.log)
		}
		var downloads []*download
		for _, key := range keys {
			downloads = append(downloads, startDownload(t, key, site.URL))
		}
		total := func() (sum int64) {
			for _, d := range downloads {
				sum += d.bytes.Load()
			}
			return sum
		}
		ended := func() bool {
			for _, d := range downloads {
				select {
				case <-d.ended:
				default:
					return false
				}
			}
			return true
		}
		// A report that comes just after the quota is reached cuts the downloads before the margin is: that is in time too.
		m.until("the limit is crossed", func() bool { return total() > quota+margin || ended() })
		crossed := time.Now()
		for _, download := range downloads {
			select {
			case <-download.ended:
			case <-time.After(time.Minute):
				t.Fatalf("a download goes on after %d bytes\n%s\n%s", total(), m.log, n.log)
			}
		}
		took := time.Since(crossed)
		if total() < quota-margin {
			t.Fatalf("the downloads were cut after %d bytes of %.0f\n%s\n%s", total(), quota, m.log, n.log)
		}
		if each := downloads[0].bytes.Load(); each > quota || total()-each > quota {
			t.Logf("one node carried %d of %d bytes: the limit was crossed on it alone", each, total())
			alone++
			m.stile("user", "remove", email)
			continue
		}
		for id, key := range keys {
			if status := d.post("/api/key", map[string]any{"server_id": id}, nil); status != http.StatusPaymentRequired {
				t.Errorf("/api/key answers %d", status)
			}
			if !tryKey(t, key, site.URL) {
				t.Errorf("a new connection to server %d is let through", id)
			}
		}
		if took <= limit {
			return
		}
		late = append(late, took)
		m.stile("user", "remove", email)
	}
	t.Errorf("the downloads were cut %v after the limit, want at most %v; %d times one node crossed it alone", late, limit, alone)
}
