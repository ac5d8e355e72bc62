package web

import (
	"encoding/json"
	"net/http"
	"time"

	"stile/vpn"
)

// settingsPage is where a user manages the account itself.
type settingsPage struct {
	Browsers int
	Factor   vpn.SecondFactor
	Passkeys int
	// Form names the form that Problem is of.
	Form       string
	Problem    problem
	IsOperator bool
}

func (s *Site) settings(v *visit) error { return s.showSettings(v, 200, settingsPage{}) }

func (s *Site) showSettings(v *visit, status int, p settingsPage) error {
	browsers, err := s.service.Browsers(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	if p.Factor, err = s.service.SecondFactor(v.r.Context(), v.actor); err != nil {
		return err
	}
	passkeys, err := s.service.Passkeys(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	p.Passkeys = len(passkeys)
	p.Browsers, p.IsOperator = 0, v.actor.User.Role != ""
	for i := range browsers {
		if browsers[i].Holds(s.service.Now()) {
			p.Browsers++
		}
	}
	return v.page(status, "settings", p)
}

// again shows the settings with what was wrong with one of its forms.
func (s *Site) again(v *visit, form string, err error) error {
	return v.retry(err, func(status int, p problem) error {
		return s.showSettings(v, status, settingsPage{Form: form, Problem: p})
	})
}

func (s *Site) changePassword(v *visit) error {
	secret, err := s.service.ChangePassword(v.r.Context(), v.actor, v.password("old"), v.password("password"), s.address(v.r))
	if err != nil {
		return s.again(v, "password", err)
	}
	v.begin(secret)
	return v.done("/account/settings", "password_changed")
}

func (s *Site) signOutEverywhere(v *visit) error {
	if err := s.service.SignOutBrowsers(v.r.Context(), v.actor); err != nil {
		return err
	}
	v.forget()
	return v.done("/signin", "signed_out_everywhere")
}

func (s *Site) erase(v *visit) error {
	if err := s.service.Erase(v.r.Context(), v.actor, v.password("password"), s.address(v.r)); err != nil {
		return s.again(v, "erase", err)
	}
	v.forget()
	return v.done("/signin", "erased")
}

// The export as it is written: names as the API has them, times in UTC.
type (
	exported struct {
		ExportedAt   time.Time             `json:"exported_at"`
		User         exportedUser          `json:"user"`
		Subscription *exportedSubscription `json:"subscription"`
		Devices      []exportedDevice      `json:"devices"`
		Tokens       []exportedToken       `json:"tokens"`
		Browsers     []exportedBrowser     `json:"browsers"`
		Factor       *exportedFactor       `json:"second_factor"`
		Passkeys     []exportedPasskey     `json:"passkeys"`
		Usage        []exportedDay         `json:"usage"`
	}
	exportedUser struct {
		ID        int64     `json:"id"`
		Name      string    `json:"name"`
		Email     string    `json:"email"`
		Status    string    `json:"status"`
		Role      string    `json:"role"`
		Locale    string    `json:"locale"`
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
	}
	exportedSubscription struct {
		Plan      string    `json:"plan"`
		StartsAt  time.Time `json:"starts_at"`
		ExpiresAt time.Time `json:"expires_at,omitzero"`
		UsedBytes int64     `json:"used_bytes"`
		ResetsAt  time.Time `json:"traffic_resets_at,omitzero"`
	}
	exportedDevice struct {
		ID        int64     `json:"id"`
		ClientID  string    `json:"client_id"`
		Name      string    `json:"name"`
		Platform  string    `json:"platform"`
		CreatedAt time.Time `json:"created_at"`
		LastSeen  string    `json:"last_seen_day"`
	}
	exportedToken struct {
		ID        int64     `json:"id"`
		Name      string    `json:"name"`
		CreatedAt time.Time `json:"created_at"`
		ExpiresAt time.Time `json:"expires_at,omitzero"`
		LastUsed  string    `json:"last_used_day"`
	}
	exportedBrowser struct {
		ID        int64     `json:"id"`
		CreatedAt time.Time `json:"created_at"`
		LastUsed  string    `json:"last_used_day"`
	}
	exportedFactor struct {
		ConfirmedAt   time.Time `json:"confirmed_at"`
		RecoveryCodes int       `json:"recovery_codes"`
	}
	exportedPasskey struct {
		ID        int64     `json:"id"`
		Name      string    `json:"name"`
		CreatedAt time.Time `json:"created_at"`
		LastUsed  string    `json:"last_used_day"`
	}
	exportedDay struct {
		Day  string `json:"day"`
		Up   int64  `json:"up_bytes"`
		Down int64  `json:"down_bytes"`
	}
)

// export hands a user all that is kept of them.
func (s *Site) export(v *visit) error {
	e, err := s.service.Export(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	body, err := json.MarshalIndent(exportOf(e), "", "  ")
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Disposition", `attachment; filename="stile-`+e.At.Format(time.DateOnly)+`.json"`)
	v.send(http.StatusOK, "application/json", body)
	return nil
}

func exportOf(e *vpn.Export) exported {
	u, sub := &e.User, &e.Entitlement.Subscription
	out := exported{
		ExportedAt: e.At,
		User: exportedUser{
			ID: u.ID, Name: u.Name, Email: u.Email, Status: string(u.Status), Role: string(u.Role), Locale: u.Locale,
			CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
		},
		Devices: []exportedDevice{}, Tokens: []exportedToken{}, Browsers: []exportedBrowser{}, Usage: []exportedDay{},
		Passkeys: []exportedPasskey{},
	}
	if e.Entitlement.Plan.ID != 0 {
		out.Subscription = &exportedSubscription{
			Plan: e.Entitlement.Plan.Code, StartsAt: sub.StartsAt, ExpiresAt: sub.ExpiresAt, UsedBytes: sub.UsedBytes, ResetsAt: sub.TrafficResetsAt,
		}
	}
	if e.Factor.IsOn() {
		out.Factor = &exportedFactor{e.Factor.ConfirmedAt, e.Factor.RecoveryCodes}
	}
	for _, d := range e.Devices {
		out.Devices = append(out.Devices, exportedDevice{d.ID, d.ClientID, d.Name, string(d.Platform), d.CreatedAt, d.LastSeenDay.Format(time.DateOnly)})
	}
	for _, t := range e.Tokens {
		out.Tokens = append(out.Tokens, exportedToken{t.ID, t.Name, t.CreatedAt, t.ExpiresAt, t.LastUsedDay.Format(time.DateOnly)})
	}
	for _, b := range e.Browsers {
		out.Browsers = append(out.Browsers, exportedBrowser{b.ID, b.CreatedAt, b.LastUsedDay.Format(time.DateOnly)})
	}
	for _, p := range e.Passkeys {
		out.Passkeys = append(out.Passkeys, exportedPasskey{p.ID, p.Name, p.CreatedAt, p.LastUsedDay.Format(time.DateOnly)})
	}
	for _, d := range e.Usage {
		out.Usage = append(out.Usage, exportedDay{d.Day.Format(time.DateOnly), d.Up, d.Down})
	}
	return out
}
