package storetest

import (
	"time"

	"stile/vpn"
)

func passkeys(w *world) {
	u, stranger := w.user(), w.user()
	soon := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	challenge := w.store.Challenge(u.ID, soon)
	if again := w.store.Challenge(u.ID, soon); string(again) == string(challenge) || len(challenge) < 16 {
		w.Error("a challenge is not random")
	}
	id, until, err := w.store.ChallengeOf(challenge)
	w.ok(err)
	is(w, "whose challenge", id, u.ID)
	is(w, "until", until.Equal(soon), true)
	challenge[20] ^= 1
	for _, bad := range [][]byte{nil, {1}, challenge} {
		_, _, err = w.store.ChallengeOf(bad)
		w.is(err, vpn.ErrNotFound)
	}

	answer := func(n int) vpn.PasskeyUse { return vpn.PasskeyUse{Challenge: hash(n), ChallengeUntil: soon} }
	add := func(userID int64, credential string, n int) error {
		return w.store.AddPasskey(w.ctx, vpn.Passkey{
			UserID: userID, Credential: []byte(credential), PublicKey: []byte{1, 2}, SignCount: 7, IsSynced: true, Name: credential,
		}, answer(n), 2, by("user.passkey_add"))
	}
	w.ok(add(u.ID, "first", 1))
	w.is(add(u.ID, "second", 1), vpn.ErrTaken) // the challenge
	w.is(add(stranger.ID, "first", 2), vpn.ErrTaken)
	w.ok(add(u.ID, "second", 2)) // what was refused took no challenge
	w.is(add(u.ID, "third", 3), vpn.ErrLimit)
	w.is(add(u.ID+1000, "third", 3), vpn.ErrNotFound)
	all, err := w.store.Passkeys(w.ctx, u.ID)
	w.ok(err)
	is(w, "passkeys", len(all), 2)
	p, status, err := w.store.Passkey(w.ctx, []byte("first"))
	w.ok(err)
	is(w, "state", status, vpn.UserActive)
	is(w, "user", p.UserID, u.ID)
	is(w, "key", string(p.PublicKey), "\x01\x02")
	is(w, "synced", p.IsSynced, true)
	_, _, err = w.store.Passkey(w.ctx, []byte("third"))
	w.is(err, vpn.ErrNotFound)

	use := func(n int, count uint32) error {
		in := answer(n)
		in.ID, in.UserID, in.SignCount = p.ID, u.ID, count
		return w.store.UsePasskey(w.ctx, in, hash(w.unique()), 5, by("browser.sign_in"))
	}
	w.ok(use(10, 8))
	w.is(use(10, 9), vpn.ErrTaken)
	w.is(use(11, 8), vpn.ErrNotFound) // a copy of the authenticator
	w.is(use(11, 0), vpn.ErrNotFound)
	w.ok(use(11, 9))
	browsers, err := w.store.Browsers(w.ctx, u.ID)
	w.ok(err)
	is(w, "browsers", len(browsers), 2)
	isIn := 0
	for _, err := range together(parallel, func(int) error { return use(12, 10) }) {
		if err == nil {
			isIn++
		} else {
			w.is(err, vpn.ErrTaken)
		}
	}
	is(w, "sign-ins by one answer", isIn, 1)

	w.is(w.store.RenamePasskey(w.ctx, stranger.ID, p.ID, "x", by("passkey.rename")), vpn.ErrNotFound)
	w.ok(w.store.RenamePasskey(w.ctx, u.ID, p.ID, "new", by("passkey.rename")))
	w.is(w.store.RemovePasskey(w.ctx, stranger.ID, p.ID, by("passkey.remove")), vpn.ErrNotFound)
	w.ok(w.store.RemovePasskey(w.ctx, u.ID, p.ID, by("passkey.remove")))
	w.is(use(13, 20), vpn.ErrNotFound)
	w.ok(w.store.RemovePasskeys(w.ctx, u.ID, by("user.passkeys_reset")))
	w.is(w.store.RemovePasskeys(w.ctx, u.ID, by("user.passkeys_reset")), vpn.ErrNotFound)
	w.ok(add(stranger.ID, "theirs", 20))
	_, err = w.store.RemoveUser(w.ctx, stranger.ID, by("user.remove"))
	w.ok(err)
	_, _, err = w.store.Passkey(w.ctx, []byte("theirs"))
	w.is(err, vpn.ErrNotFound)
}

// countlessPasskeys have no counter, as those that are synced.
func countlessPasskeys(w *world) {
	u := w.user()
	soon := time.Now().Add(time.Hour)
	w.ok(w.store.AddPasskey(w.ctx, vpn.Passkey{UserID: u.ID, Credential: []byte("x"), PublicKey: []byte{1}, Name: "x"},
		vpn.PasskeyUse{Challenge: hash(1), ChallengeUntil: soon}, 2, by("user.passkey_add")))
	p, _, err := w.store.Passkey(w.ctx, []byte("x"))
	w.ok(err)
	for n := range 2 {
		w.ok(w.store.UsePasskey(w.ctx, vpn.PasskeyUse{ID: p.ID, UserID: u.ID, Challenge: hash(2 + n), ChallengeUntil: soon},
			hash(w.unique()), 5, by("browser.sign_in")))
	}
}
