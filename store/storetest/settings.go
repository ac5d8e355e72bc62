package storetest

import "stile/vpn"

func settings(w *world) {
	got, err := w.store.Settings(w.ctx)
	w.ok(err)
	is(w, "settings at first", got, vpn.Settings{})
	for _, want := range []vpn.Settings{
		{Brand: "Тихая гавань", SignUp: vpn.SignUpVoucher, MailFrom: "VPN <vpn@example.net>", Links: vpn.Links{
			Account: "https://example.net/account", Renew: "https://example.net/renew", Support: "mailto:help@example.net",
		}},
		{Brand: "Other", SignUp: vpn.SignUpOpen},
		{},
	} {
		w.ok(w.store.SetSettings(w.ctx, want, by("settings.update")))
		got, err = w.store.Settings(w.ctx)
		w.ok(err)
		is(w, "settings", got, want)
	}
	log, err := w.store.AuditLog(w.ctx, 0, 10)
	w.ok(err)
	is(w, "audit entries", len(log), 3)
}
