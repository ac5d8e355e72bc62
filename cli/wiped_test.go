package cli_test

import (
	"os"
	"path/filepath"
	"testing"

	"stile/wire"
)

// Somebody deletes the database and begins anew. What the embedded node kept of the old one names other people's keys by
// the numbers of the new ones: neither its revocations nor its traffic may count.
func TestNewDatabaseUnderAnOldNode(t *testing.T) {
	m := newMachine(t, "")
	m.addUser("old@example.com")
	site := endless(t)
	old := m.signIn("old@example.com", "phone")
	server := old.key().ServerID
	for range 3 {
		key := old.rotated(server)
		if !startDownload(t, key.Key, site.URL).flows() {
			t.Fatal("nothing comes through the first key")
		}
	}
	m.until("the traffic is booked", func() bool { return used(old) > 0 })
	m.stop()
	for _, name := range []string{"stile.db", "stile.db-wal", "stile.db-shm"} {
		if err := os.Remove(filepath.Join(m.data, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}

	m.stile("plan", "add", "standard", "--devices", "1000", "--days", "30", "--tier", "1")
	m.addUser("new@example.com")
	m.start()
	device := m.signIn("new@example.com", "phone")
	key := device.key()
	if n := used(device); n != 0 {
		t.Errorf("the new user has used %d bytes", n)
	}
	if !startDownload(t, key.Key, site.URL).flows() {
		t.Errorf("nothing comes through the new key\n%s", m.log)
	}
}

// used is how many bytes a device's account has used.
func used(d *device) int64 {
	var me wire.SubscriptionResponse
	if status := d.get("/api/subscription", &me); status != 200 {
		d.m.t.Fatalf("subscription: %d", status)
	}
	return me.Traffic.UsedBytes
}
