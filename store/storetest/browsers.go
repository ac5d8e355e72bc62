package storetest

import (
	"strconv"
	"time"

	"stile/vpn"
)

// browse makes a session of a user in a browser, of at most limit ones.
func (w *world) browse(userID int64, limit int) vpn.TokenHash {
	w.Helper()
	h := hash(w.unique())
	w.ok(w.store.AddBrowser(w.ctx, userID, h, limit, vpn.CodeUse{}, by("browser.sign_in")))
	return h
}

func browsers(w *world) {
	u, stranger := w.user(), w.user()
	first := w.browse(u.ID, 2)
	b, who, err := w.store.Browser(w.ctx, first)
	w.ok(err)
	is(w, "user", who, u)
	is(w, "its user", b.UserID, u.ID)
	is(w, "used at midnight", b.LastUsedDay.Truncate(24*time.Hour), b.LastUsedDay)
	tomorrow := b.LastUsedDay.Add(24 * time.Hour)
	w.ok(w.store.TouchBrowser(w.ctx, b.ID, tomorrow.Add(time.Hour)))
	w.ok(w.store.TouchBrowser(w.ctx, b.ID, tomorrow.Add(-48*time.Hour)))
	b, _, err = w.store.Browser(w.ctx, first)
	w.ok(err)
	is(w, "used", b.LastUsedDay, tomorrow)
	w.is(w.store.AddBrowser(w.ctx, u.ID, first, 2, vpn.CodeUse{}, by("browser.sign_in")), vpn.ErrTaken)
	w.is(w.store.AddBrowser(w.ctx, u.ID+1000, hash(w.unique()), 2, vpn.CodeUse{}, by("browser.sign_in")), vpn.ErrNotFound)

	// The oldest makes room, of this user alone.
	theirs := w.browse(stranger.ID, 2)
	second, third := w.browse(u.ID, 2), w.browse(u.ID, 2)
	_, _, err = w.store.Browser(w.ctx, first)
	w.is(err, vpn.ErrNotFound)
	all, err := w.store.Browsers(w.ctx, u.ID)
	w.ok(err)
	is(w, "sessions", len(all), 2)

	w.ok(w.store.RemoveBrowser(w.ctx, second))
	w.is(w.store.RemoveBrowser(w.ctx, second), vpn.ErrNotFound)
	w.ok(w.store.RemoveBrowsers(w.ctx, u.ID, by("browser.sign_out_all")))
	_, _, err = w.store.Browser(w.ctx, third)
	w.is(err, vpn.ErrNotFound)
	_, _, err = w.store.Browser(w.ctx, theirs)
	w.ok(err)

	// A new password ends them, and so does the end of the account.
	fourth := w.browse(u.ID, 2)
	_, err = w.store.SetPasswordHash(w.ctx, u.ID, "x", true, by("user.password"))
	w.ok(err)
	_, _, err = w.store.Browser(w.ctx, fourth)
	w.is(err, vpn.ErrNotFound)
	_, err = w.store.RemoveUser(w.ctx, stranger.ID, by("user.remove"))
	w.ok(err)
	_, _, err = w.store.Browser(w.ctx, theirs)
	w.is(err, vpn.ErrNotFound)
}

func addedDevices(w *world) {
	u := w.user()
	add := func(client string, limit int) (int64, error) {
		return w.store.AddDevice(w.ctx, vpn.NewSession{UserID: u.ID, ClientID: client, Name: client, Platform: vpn.PlatformIOS, DeviceLimit: limit}, by("device.add"))
	}
	id, err := add("one", 2)
	w.ok(err)
	_, _, err = slot(w, u.ID, "two", 2, 0)
	w.ok(err)
	_, err = add("three", 2)
	w.is(err, vpn.ErrDeviceLimit)
	devices, err := w.store.Devices(w.ctx, u.ID)
	w.ok(err)
	is(w, "devices", len(devices), 2)
	is(w, "device", devices[0].ID, id)
	is(w, "platform", devices[0].Platform, vpn.PlatformIOS)
	_, err = w.store.RemoveDevice(w.ctx, u.ID, id, by("device.remove"))
	w.ok(err)
	_, err = add("three", 2)
	w.ok(err)
}

func tokenLimitUnderLoad(w *world) {
	const limit = 5
	u, made := w.user(), 0
	for _, err := range together(parallel, func(i int) error {
		_, err := w.any().AddToken(w.ctx, vpn.Token{UserID: u.ID, Name: strconv.Itoa(i)}, hash(i), limit, by("token.add"))
		return err
	}) {
		if err == nil {
			made++
		} else {
			w.is(err, vpn.ErrLimit)
		}
	}
	is(w, "tokens", made, limit)
}
