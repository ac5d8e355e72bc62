package storetest

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"stile/vpn"
)

func sessions(w *world) {
	u := w.user()
	in, token := w.signIn(u.ID)
	s, err := w.store.Session(w.ctx, 0, token)
	w.ok(err)
	is(w, "user", s.User, u)
	is(w, "token's device", s.Token.DeviceID, in.DeviceID)
	is(w, "token", s.Token.ID, in.TokenID)
	is(w, "token's user", s.Token.UserID, u.ID)
	is(w, "device's user", s.Device.UserID, u.ID)
	is(w, "platform", s.Device.Platform, vpn.PlatformLinux)
	_, other := w.signIn(w.user().ID)
	for _, id := range []int64{in.TokenID, in.TokenID + 1, in.TokenID + 1000, -1} { // right, another's, nobody's
		again, err := w.store.Session(w.ctx, id, token)
		w.ok(err)
		is(w, "session by an id", *again, *s)
	}
	_, err = w.store.Session(w.ctx, in.TokenID, hash(9998))
	w.is(err, vpn.ErrNotFound)
	another, err := w.store.Session(w.ctx, in.TokenID, other)
	w.ok(err)
	if another.Token.UserID == u.ID {
		w.Fatal("an id alone opens a session")
	}
	devices, err := w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	if len(devices) != 1 || devices[0] != s.Device {
		w.Fatalf("devices %+v, session's %+v", devices, s.Device)
	}
	is(w, "seen at midnight", s.Device.LastSeenDay.Truncate(24*time.Hour), s.Device.LastSeenDay)

	tomorrow := s.Device.LastSeenDay.Add(24 * time.Hour)
	w.ok(w.store.Touch(w.ctx, in.TokenID, in.DeviceID, tomorrow.Add(time.Hour)))
	w.ok(w.store.Touch(w.ctx, in.TokenID, in.DeviceID, tomorrow.Add(-48*time.Hour)))
	s, err = w.store.Session(w.ctx, 0, token)
	w.ok(err)
	is(w, "token used", s.Token.LastUsedDay, tomorrow)
	is(w, "device seen", s.Device.LastSeenDay, tomorrow)

	changed, err := w.store.SignOut(w.ctx, in.TokenID, by("device.sign_out"))
	w.ok(err)
	is(w, "changed nodes", len(changed), 0)
	_, err = w.store.Session(w.ctx, 0, token)
	w.is(err, vpn.ErrNotFound)
	devices, err = w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	is(w, "devices", len(devices), 0)
	_, err = w.store.SignOut(w.ctx, in.TokenID, by("device.sign_out"))
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.SignIn(w.ctx, vpn.NewSession{UserID: u.ID + 1000, ClientID: "x", TokenHash: hash(9999), DeviceLimit: 5}, by("x"))
	w.is(err, vpn.ErrNotFound)
}

func apiTokens(w *world) {
	u := w.user()
	expires := time.UnixMilli(1_900_000_000_123).UTC()
	id, err := w.store.AddToken(w.ctx, vpn.Token{UserID: u.ID, Name: "robot", ExpiresAt: expires}, hash(1), 2, by("token.add"))
	w.ok(err)
	s, err := w.store.Session(w.ctx, 0, hash(1))
	w.ok(err)
	is(w, "device", s.Device, vpn.Device{})
	is(w, "token", s.Token, vpn.Token{
		ID: id, UserID: u.ID, Name: "robot", LastUsedDay: s.Token.LastUsedDay, CreatedAt: s.Token.CreatedAt, ExpiresAt: expires,
	})
	_, err = w.store.AddToken(w.ctx, vpn.Token{UserID: u.ID}, hash(1), 2, by("token.add"))
	w.is(err, vpn.ErrTaken)
	_, err = w.store.AddToken(w.ctx, vpn.Token{UserID: u.ID + 1000}, hash(2), 2, by("token.add"))
	w.is(err, vpn.ErrNotFound)
	in, _ := w.signIn(u.ID) // its token is in no list and counts for no limit
	second, err := w.store.AddToken(w.ctx, vpn.Token{UserID: u.ID, Name: "second"}, hash(102), 2, by("token.add"))
	w.ok(err)
	_, err = w.store.AddToken(w.ctx, vpn.Token{UserID: u.ID}, hash(103), 2, by("token.add"))
	w.is(err, vpn.ErrLimit)
	tokens, err := w.store.Tokens(w.ctx, u.ID)
	w.ok(err)
	if len(tokens) != 2 || tokens[0] != s.Token || tokens[1].ID != second || tokens[1].Name != "second" {
		w.Fatalf("tokens: %+v", tokens)
	}
	stranger := w.user()
	w.is(w.store.RemoveToken(w.ctx, stranger.ID, second, by("token.remove")), vpn.ErrNotFound)
	w.is(w.store.RemoveToken(w.ctx, u.ID, in.TokenID, by("token.remove")), vpn.ErrNotFound)
	w.ok(w.store.RemoveToken(w.ctx, u.ID, second, by("token.remove")))
	_, err = w.store.Session(w.ctx, 0, hash(102))
	w.is(err, vpn.ErrNotFound)
	w.ok(w.store.Touch(w.ctx, id, 0, s.Token.LastUsedDay.Add(24*time.Hour)))
	_, err = w.store.SignOut(w.ctx, id, by("token.remove"))
	w.ok(err)
	_, err = w.store.Session(w.ctx, 0, hash(1))
	w.is(err, vpn.ErrNotFound)
}

// slot is a sign-in of a client with room for limit devices.
func slot(w *world, userID int64, client string, limit int, replace int64) (vpn.SignedIn, vpn.TokenHash, error) {
	s := vpn.NewSession{UserID: userID, ClientID: client, TokenHash: hash(w.unique()), DeviceLimit: limit, ReplaceDeviceID: replace}
	in, err := w.any().SignIn(w.ctx, s, by("device.sign_in"))
	return in, s.TokenHash, err
}

// slotsAreFree fails unless so many new devices, and not one more, find a slot.
func (w *world) slotsAreFree(userID int64, n int) {
	w.Helper()
	for i := range n + 1 {
		_, _, err := slot(w, userID, "filler"+strconv.Itoa(i), n, 0)
		if i == n {
			w.is(err, vpn.ErrDeviceLimit)
		} else {
			w.ok(err)
		}
	}
}

func deviceSlots(w *world) {
	u, stranger, server := w.user(), w.user(), w.server()
	first, oldToken, err := slot(w, u.ID, "phone", 2, 0)
	w.ok(err)
	second, _, err := slot(w, u.ID, "laptop", 2, 0)
	w.ok(err)
	_, _, err = slot(w, u.ID, "tablet", 2, 0)
	w.is(err, vpn.ErrDeviceLimit)

	// The same client device takes no second slot; its token is replaced.
	again, newToken, err := slot(w, u.ID, "phone", 2, 0)
	w.ok(err)
	is(w, "device", again.DeviceID, first.DeviceID)
	_, err = w.store.Session(w.ctx, 0, oldToken)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.Session(w.ctx, 0, newToken)
	w.ok(err)

	// A device that is not the user's replaces nothing.
	theirs, _ := w.signIn(stranger.ID)
	_, _, err = slot(w, u.ID, "tablet", 2, theirs.DeviceID)
	w.is(err, vpn.ErrDeviceLimit)

	key := w.issue(w.newKey(u.ID, second.DeviceID, server.ID))
	third, _, err := slot(w, u.ID, "tablet", 2, second.DeviceID)
	w.ok(err)
	if !slices.Equal(third.Changed, []vpn.NodeRev{{NodeID: server.ID, Rev: 2}}) {
		w.Fatalf("changed nodes: %v", third.Changed)
	}
	_, err = w.store.Key(w.ctx, key.ID)
	w.is(err, vpn.ErrNotFound)
	devices, err := w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	if len(devices) != 2 || devices[0].ID != first.DeviceID || devices[1].ID != third.DeviceID {
		w.Fatalf("devices: %+v", devices)
	}
	// A slot that is free is taken before a device is replaced.
	fourth, _, err := slot(w, u.ID, "watch", 3, first.DeviceID)
	w.ok(err)
	is(w, "changed nodes", len(fourth.Changed), 0)
	// A plan that shrank: one replaced device is not enough.
	_, _, err = slot(w, u.ID, "radio", 2, first.DeviceID)
	w.is(err, vpn.ErrDeviceLimit)
	devices, err = w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	is(w, "devices after a refusal", len(devices), 3)
}

func deviceSlotsUnderLoad(w *world) {
	const limit = 5
	u := w.user()
	free := 0
	for _, err := range together(parallel, func(i int) error {
		_, _, err := slot(w, u.ID, "client"+strconv.Itoa(i), limit, 0)
		return err
	}) {
		if err == nil {
			free++
		} else {
			w.is(err, vpn.ErrDeviceLimit)
		}
	}
	is(w, "slots taken", free, limit)
	devices, err := w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	is(w, "devices", len(devices), limit)

	// Signing out and in at once never exceeds the limit either.
	for _, err := range together(parallel, func(i int) error {
		if i < limit {
			_, err := w.any().RemoveDevice(w.ctx, u.ID, devices[i].ID, by("device.remove"))
			return err
		}
		_, _, err := slot(w, u.ID, "later"+strconv.Itoa(i), limit, 0)
		return err
	}) {
		if err != nil && !errors.Is(err, vpn.ErrDeviceLimit) {
			w.Fatal(err)
		}
	}
	devices, err = w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	if len(devices) > limit {
		w.Fatalf("%d devices, limit %d", len(devices), limit)
	}
	for _, d := range devices {
		_, err := w.store.RemoveDevice(w.ctx, u.ID, d.ID, by("device.remove"))
		w.ok(err)
	}
	w.slotsAreFree(u.ID, limit)
}

func devices(w *world) {
	u, stranger, server := w.user(), w.user(), w.server()
	in, token := w.signIn(u.ID)
	key := w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	w.ok(w.store.RenameDevice(w.ctx, u.ID, in.DeviceID, "Телефон", by("device.rename")))
	s, err := w.store.Session(w.ctx, 0, token)
	w.ok(err)
	is(w, "name", s.Device.Name, "Телефон")
	w.is(w.store.RenameDevice(w.ctx, stranger.ID, in.DeviceID, "mine", by("device.rename")), vpn.ErrNotFound)
	_, err = w.store.RemoveDevice(w.ctx, stranger.ID, in.DeviceID, by("device.remove"))
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.Session(w.ctx, 0, token)
	w.ok(err)

	kept, err := w.store.DeviceKeys(w.ctx, in.DeviceID)
	w.ok(err)
	if len(kept) != 1 || kept[0] != key {
		w.Fatalf("keys of the device: %v, want %v", kept, key)
	}

	changed, err := w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
	w.ok(err)
	if !slices.Equal(changed, []vpn.NodeRev{{NodeID: server.ID, Rev: 2}}) {
		w.Fatalf("changed nodes: %v", changed)
	}
	_, err = w.store.Session(w.ctx, 0, token)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.Key(w.ctx, key.ID)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
	w.is(err, vpn.ErrNotFound)
	w.digestHolds(server.ID)
}

// addresses checks that an address stays the same until it is rotated, never comes back, and goes with the device.
func addresses(w *world) {
	u, stranger, server := w.user(), w.user(), w.server()
	in, _ := w.signIn(u.ID)
	other, _ := w.signIn(u.ID)
	w.issue(w.newKey(u.ID, in.DeviceID, server.ID))
	others := w.issue(w.newKey(u.ID, other.DeviceID, server.ID))
	read := func(deviceID int64) string {
		device, address, err := w.store.Addressed(w.ctx, deviceID)
		w.ok(err)
		is(w, "device", device.ID, deviceID)
		is(w, "user", device.UserID, u.ID)
		return address.Reveal()
	}
	seen := map[string]bool{read(in.DeviceID): true, read(other.DeviceID): true}
	is(w, "again", read(in.DeviceID), read(in.DeviceID))
	_, err := w.store.RotateAddress(w.ctx, stranger.ID, in.DeviceID, by("device.address"))
	w.is(err, vpn.ErrNotFound)
	is(w, "after a stranger's try", seen[read(in.DeviceID)], true)
	for range 3 { // within one millisecond, or not
		_, err := w.store.RotateAddress(w.ctx, u.ID, in.DeviceID, by("device.address"))
		w.ok(err)
		address := read(in.DeviceID)
		is(w, "an address comes back", seen[address], false)
		seen[address] = true
	}
	is(w, "the other device's", seen[read(other.DeviceID)], true)
	keys, err := w.store.DeviceKeys(w.ctx, in.DeviceID)
	w.ok(err)
	is(w, "keys after the rotation", len(keys), 0)
	_, err = w.store.Key(w.ctx, others.ID)
	w.ok(err)
	_, err = w.store.RemoveDevice(w.ctx, u.ID, in.DeviceID, by("device.remove"))
	w.ok(err)
	_, _, err = w.store.Addressed(w.ctx, in.DeviceID)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.RotateAddress(w.ctx, u.ID, in.DeviceID, by("device.address"))
	w.is(err, vpn.ErrNotFound)
}
