package store_test

import (
	"path/filepath"
	"testing"

	"stile/store"
	"stile/store/storetest"
	"stile/vpn"
)

// engines are the databases on which every test of behaviour runs.
var engines = []struct {
	name string
	dsn  func(testing.TB) string
}{
	{"SQLite", func(t testing.TB) string { return filepath.Join(t.TempDir(), "stile.db") }},
	{"PostgreSQL", storetest.Postgres},
}

// secret seals the seeds of the tests.
var secret = [32]byte{1, 2, 3}

func open(t testing.TB, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{DSN: dsn, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) (store, peer vpn.Store) {
				dsn := engine.dsn(t)
				return open(t, dsn), open(t, dsn)
			})
		})
	}
}
