package store_test

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"stile/accesskey"
	"stile/store"
	"stile/vpn"
)

// TestLookUpsTogether has many callers ask for keys that they have just changed: each gets its own, as it is now.
func TestLookUpsTogether(t *testing.T) {
	onEach(t, func(t *testing.T, dsn string) {
		s := open(t, dsn)
		defer func() { ok(t, s.Close()) }()
		server, err := s.AddServer(t.Context(), vpn.Server{Name: "a"}, vpn.Audit{})
		ok(t, err)
		var callers sync.WaitGroup
		for n := range 2 * 64 { // more than a group holds
			callers.Go(func() { askForOwnKeys(t, s, n, server.ID) })
		}
		callers.Wait()
	})
}

// askForOwnKeys makes a user whose key is rotated and looked up in turns, then gone.
func askForOwnKeys(t *testing.T, s *store.Store, n int, serverID int64) {
	ctx, hash := t.Context(), vpn.TokenHash{1, byte(n)}
	user, err := s.AddUser(ctx, vpn.NewUser{Email: strconv.Itoa(n) + "@example.com"}, vpn.Audit{})
	if err != nil {
		t.Error(err)
		return
	}
	in, err := s.SignIn(ctx, vpn.NewSession{UserID: user.ID, ClientID: "c", TokenHash: hash, DeviceLimit: 1}, vpn.Audit{})
	if err != nil {
		t.Error(err)
		return
	}
	for round := range 5 {
		seed := accesskey.Seed{byte(n), byte(round), 7}
		made, err := s.IssueKey(ctx, vpn.NewKey{UserID: user.ID, DeviceID: in.DeviceID, ServerID: serverID, Seed: seed, Rotate: true}, vpn.Audit{})
		if err != nil {
			t.Error(err)
			return
		}
		key, err := s.DeviceKey(ctx, in.DeviceID, serverID)
		keys, errs := s.DeviceKeys(ctx, in.DeviceID)
		if err != nil || errs != nil || key != made || key.Seed != seed || len(keys) != 1 || keys[0] != made {
			t.Errorf("caller %d, round %d: %+v and %d keys, %v, %v; made %+v", n, round, key, len(keys), err, errs, made)
		}
		session, err := s.Session(ctx, 0, hash)
		if err != nil || session.User.ID != user.ID || session.Device.ID != in.DeviceID {
			t.Errorf("caller %d: session %+v, %v", n, session, err)
		}
	}
	if _, err := s.RemoveDevice(ctx, user.ID, in.DeviceID, vpn.Audit{}); err != nil {
		t.Error(err)
	}
	if _, err := s.DeviceKey(ctx, in.DeviceID, serverID); !errors.Is(err, vpn.ErrNotFound) {
		t.Errorf("caller %d: the key of a removed device: %v", n, err)
	}
	if _, err := s.Session(ctx, 0, hash); !errors.Is(err, vpn.ErrNotFound) {
		t.Errorf("caller %d: the session of a removed device: %v", n, err)
	}
}

// TestLookUpsSurviveALostConnection ends every connection of a database but the one that asks for it.
func TestLookUpsSurviveALostConnection(t *testing.T) {
	dsn := engines[1].dsn(t)
	s := open(t, dsn)
	defer func() { _ = s.Close() }()
	h := setup(t, s)
	if _, err := s.Entitlement(t.Context(), h.user.ID); err != nil {
		t.Fatal(err)
	}
	_, err := raw(t, dsn).Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	ok(t, err)
	for range 4 { // both connections
		if _, _, err := s.Standing(context.WithoutCancel(t.Context()), h.user.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLookUpsOutliveAnOutage has a database take no connections for a while: look-ups say so, and go on when it does again.
func TestLookUpsOutliveAnOutage(t *testing.T) {
	dsn := engines[1].dsn(t)
	s := open(t, dsn)
	h := setup(t, s)
	u, err := url.Parse(dsn)
	ok(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	u.Path = "/postgres"
	admin := raw(t, u.String())
	for range 2 {
		for _, command := range []string{
			"ALTER DATABASE " + name + " ALLOW_CONNECTIONS false",
			"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '" + name + "'",
		} {
			_, err := admin.Exec(command)
			ok(t, err)
		}
		for range 3 {
			if _, _, err := s.Standing(t.Context(), h.user.ID); err == nil || errors.Is(err, vpn.ErrNotFound) {
				t.Fatalf("without a database: %v", err)
			}
		}
		_, err = admin.Exec("ALTER DATABASE " + name + " ALLOW_CONNECTIONS true")
		ok(t, err)
		if found, _, err := s.Standing(t.Context(), h.user.ID); err != nil || found.ID != h.user.ID {
			t.Fatalf("with the database again: %+v, %v", found, err)
		}
	}
	ok(t, s.Close())
}
