package store_test

import (
	"strconv"
	"testing"

	"stile/store"
	"stile/vpn"
)

// chainOf checks the audit log.
func chainOf(t *testing.T, s *store.Store) vpn.AuditChain {
	t.Helper()
	c, err := s.VerifyAudit(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// anchorAll puts all entries under the chain: as soon as transactions have ended that others run on the same server.
func anchorAll(t *testing.T, s *store.Store) {
	t.Helper()
	for {
		anchorSome(t, s)
		newest, err := s.AuditLog(t.Context(), 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		if chainOf(t, s).LastID == newest[0].ID {
			return
		}
	}
}

func anchorSome(t *testing.T, s *store.Store) {
	t.Helper()
	if _, err := s.AnchorAudit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Whoever can write the database and does not have the secret cannot change, remove or add an entry unnoticed.
func TestAChangedAuditLogIsNoticed(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			dsn := engine.dsn(t)
			s := open(t, dsn)
			for i := range 3 {
				for j := range 4 {
					if _, err := s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i*10+j) + "@example.com"}, vpn.Audit{Action: "user.add"}); err != nil {
						t.Fatal(err)
					}
				}
				anchorAll(t, s)
			}
			whole := chainOf(t, s)
			if whole.IsBroken || whole.Entries != 12 {
				t.Fatalf("%+v", whole)
			}
			db := raw(t, dsn)
			for name, c := range map[string]struct {
				change, back string
				after        int64 // the last entry that holds
			}{
				"the action":   {"UPDATE audit SET action = 'user.ad' WHERE id = 6", "UPDATE audit SET action = 'user.add' WHERE id = 6", 4},
				"the actor":    {"UPDATE audit SET actor_id = 9 WHERE id = 12", "UPDATE audit SET actor_id = 0 WHERE id = 12", 8},
				"the instant":  {"UPDATE audit SET at = at + 1 WHERE id = 1", "UPDATE audit SET at = at - 1 WHERE id = 1", 0},
				"the subject":  {"UPDATE audit SET subject_id = subject_id + 1 WHERE id = 5", "UPDATE audit SET subject_id = subject_id - 1 WHERE id = 5", 4},
				"an anchor":    {"UPDATE audit_anchor SET last_id = last_id - 1 WHERE id = 2", "UPDATE audit_anchor SET last_id = last_id + 1 WHERE id = 2", 4},
				"a count":      {"UPDATE audit_anchor SET count = count + 1 WHERE id = 3", "UPDATE audit_anchor SET count = count - 1 WHERE id = 3", 8},
				"anchors gone": {"UPDATE audit_anchor SET id = 20 WHERE id = 2", "UPDATE audit_anchor SET id = 2 WHERE id = 20", 4},
			} {
				for _, text := range []string{c.change, ""} {
					if text == "" {
						if _, err := db.Exec(c.back); err != nil {
							t.Fatal(err)
						}
						if got := chainOf(t, s); got != whole {
							t.Fatalf("%s, changed back: %+v", name, got)
						}
						continue
					}
					if _, err := db.Exec(text); err != nil {
						t.Fatal(err)
					}
					if got := chainOf(t, s); !got.IsBroken || got.BrokenAfter != c.after {
						t.Errorf("%s: %+v, want broken after %d", name, got, c.after)
					}
				}
			}
			// The hash of the first anchor in the place of another does not open there.
			if _, err := db.Exec("UPDATE audit_anchor SET sealed = (SELECT sealed FROM audit_anchor WHERE id = 1) WHERE id = 3"); err != nil {
				t.Fatal(err)
			}
			if got := chainOf(t, s); !got.IsBroken || got.BrokenAfter != 8 {
				t.Errorf("a moved hash: %+v", got)
			}
			if _, err := db.Exec("DELETE FROM audit WHERE id = 3"); err != nil {
				t.Fatal(err)
			}
			if got := chainOf(t, s); !got.IsBroken || got.BrokenAfter != 0 || got.BrokenBy != 4 {
				t.Errorf("a removed entry: %+v", got)
			}
		})
	}
}

// An entry whose transaction is still open comes under the chain, though later ones were committed before it.
func TestTheChainWaitsForOpenTransactions(t *testing.T) {
	dsn := engines[1].dsn(t)
	s := open(t, dsn)
	db := raw(t, dsn)
	slow, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"UPDATE counter SET next_id = next_id WHERE name = 'access_key'", // as always, the entry is not the first that is written
		"INSERT INTO audit (actor_id, action, subject_id, at) VALUES (1, 'slow', 1, 1)",
	} {
		if _, err := slow.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.AddUser(t.Context(), vpn.NewUser{Email: "a@example.com"}, vpn.Audit{Action: "user.add"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		anchorSome(t, s)
		if c := chainOf(t, s); c.Entries != 0 {
			t.Fatalf("the chain went past an open transaction: %+v", c)
		}
	}
	if err := slow.Commit(); err != nil {
		t.Fatal(err)
	}
	anchorAll(t, s)
	anchorAll(t, s)
	if c := chainOf(t, s); c.IsBroken || c.Entries != 2 {
		t.Errorf("%+v", c)
	}
}

// An entry that is all that its transaction writes has an id for a moment before the server knows that anything is written. The
// chain waits for it all the same. Here, a trigger makes that moment long.
func TestTheChainWaitsForEntriesAlone(t *testing.T) {
	for what, write := range map[string]func(*store.Store, vpn.Audit) error{
		"a note":      func(s *store.Store, a vpn.Audit) error { return s.Note(t.Context(), a) },
		"no browsers": func(s *store.Store, a vpn.Audit) error { return s.RemoveBrowsers(t.Context(), 1, a) },
	} {
		dsn := engines[1].dsn(t)
		a, b, db := open(t, dsn), open(t, dsn), raw(t, dsn)
		for _, text := range []string{
			`CREATE FUNCTION dawdle() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
				PERFORM pg_advisory_lock_shared(77);
				PERFORM pg_advisory_unlock_shared(77);
				RETURN NEW;
			END $$`,
			"CREATE TRIGGER dawdle BEFORE INSERT ON audit FOR EACH ROW WHEN (NEW.action = 'slow') EXECUTE FUNCTION dawdle()",
		} {
			if _, err := db.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		// PostgreSQL writes a sequence down for the next 32 of its values: the first of them alone gives a transaction its number.
		if err := b.Note(t.Context(), vpn.Audit{Action: "quick"}); err != nil {
			t.Fatal(err)
		}
		anchorAll(t, b)
		holder, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.Exec("SELECT pg_advisory_xact_lock(77)"); err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() { written <- write(a, vpn.Audit{Action: "slow"}) }()
		for isWaiting := false; !isWaiting; {
			if err := db.QueryRow("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&isWaiting); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.AddUser(t.Context(), vpn.NewUser{Email: "a@example.com"}, vpn.Audit{Action: "user.add"}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			anchorSome(t, b)
			if c := chainOf(t, b); c.Entries != 1 {
				t.Errorf("%s: the chain went past it: %+v", what, c)
			}
		}
		if err := holder.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		c := chainOf(t, b)
		for !c.IsBroken && c.Entries < 3 {
			anchorSome(t, b)
			c = chainOf(t, b)
		}
		if c.IsBroken {
			t.Errorf("%s: %+v", what, c)
		}
	}
}

// Two processes anchor at once: one chain.
func TestReplicasMakeOneChain(t *testing.T) {
	dsn := engines[1].dsn(t)
	a, b := open(t, dsn), open(t, dsn)
	done := make(chan error, 2)
	for _, s := range []*store.Store{a, b} {
		go func() {
			var err error
			for i := 0; i < 30 && err == nil; i++ {
				if _, err = s.AddUser(t.Context(), vpn.NewUser{Email: strconv.Itoa(i) + name(s, a) + "@example.com"}, vpn.Audit{Action: "user.add"}); err == nil {
					_, err = s.AnchorAudit(t.Context())
				}
			}
			done <- err
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	anchorAll(t, a)
	anchorAll(t, a)
	if c := chainOf(t, b); c.IsBroken || c.Entries != 60 {
		t.Errorf("%+v", c)
	}
}

func name(s, first *store.Store) string {
	if s == first {
		return "a"
	}
	return "b"
}
