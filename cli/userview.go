package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
)

// UserListCmd is `stile user list`.
type UserListCmd struct {
	databaseFlags
	Search string `help:"Part of the e-mail or the name."`
	After  int64  `help:"Start after this id."`
	Limit  int    `range:"1..1000" default:"100" help:"At most this many, up to 1000."`
	JSON   bool   `name:"json" help:"Print JSON."`
}

// userRow is an account in a list, as JSON.
type userRow struct {
	ID        int64     `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Status    string    `json:"status"`
	Role      string    `json:"role,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Run lists accounts.
func (c *UserListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		page, err := s.Users(ctx, shell, vpn.UserFilter{Search: c.Search, After: c.After, Limit: c.Limit})
		if err != nil {
			return err
		}
		rows := make([]userRow, 0, len(page.Users))
		cells := make([][]string, 0, len(page.Users))
		for i := range page.Users {
			u := &page.Users[i]
			rows = append(rows, userRow{u.ID, u.Email, u.Name, string(u.Status), roleWord(u.Role), u.CreatedAt})
			cells = append(cells, []string{id(u.ID), u.Email, u.Name, string(u.Status), roleWord(u.Role)})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"ID", "E-MAIL", "NAME", "STATUS", "ROLE"}, cells)
		if page.Next != 0 {
			t.printf("More: --after %d\n", page.Next)
		}
		return nil
	})
}

// roleWord names a role, "" for an ordinary user.
func roleWord(r vpn.Role) string {
	if r == "" {
		return ""
	}
	return r.String()
}

// id prints an identifier.
func id(n int64) string { return strconv.FormatInt(n, 10) }

// UserShowCmd is `stile user show`.
type UserShowCmd struct {
	userRef
	JSON bool `name:"json" help:"Print JSON."`
}

// accountView is one account's state, as JSON.
type accountView struct {
	userRow
	Plan      string     `json:"plan,omitempty"`
	State     string     `json:"subscription"`
	ExpiresAt *time.Time `json:"expires_at"`
	Access    bool       `json:"access"`
	Reason    string     `json:"reason,omitempty"`
	Used      int64      `json:"used_bytes"`
	Limit     int64      `json:"limit_bytes,omitempty"`
	// Factor tells whether sign-ins need a code; Codes are the recovery codes that are left.
	Factor   bool        `json:"second_factor"`
	Codes    int         `json:"recovery_codes"`
	Passkeys int         `json:"passkeys"`
	Devices  []deviceRow `json:"devices"`
}

type deviceRow struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Platform string `json:"platform"`
	LastSeen string `json:"last_seen"`
}

// Run shows the account.
func (c *UserShowCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		a, err := s.Account(ctx, shell, u.ID)
		if err != nil {
			return err
		}
		v := viewAccount(&a)
		if c.JSON {
			return t.printJSON(v)
		}
		t.printf("%s\n", strings.TrimSpace(fmt.Sprintf("%d  %s  %s  %s %s", v.ID, v.Email, v.Name, v.Status, v.Role)))
		t.printf("Subscription: %s\n", v.subscription())
		if v.Access {
			t.printf("Can connect: yes\n")
		} else {
			why := vpn.Diagnosis{Code: a.Access.Reason}
			t.printf("Can connect: no. %s What to do: stile user diagnose %s\n", why.Advice().Reason.EN, v.Email)
		}
		t.printf("Traffic: %s of %s\n", humanBytes(v.Used), bytesOrUnlimited(v.Limit))
		if v.Factor {
			t.printf("Second factor: on, %d recovery codes left; passkeys: %d\n", v.Codes, v.Passkeys)
		} else {
			t.printf("Second factor: off; passkeys: %d\n", v.Passkeys)
		}
		cells := make([][]string, 0, len(v.Devices))
		for _, d := range v.Devices {
			cells = append(cells, []string{id(d.ID), d.Name, d.Platform, d.LastSeen})
		}
		t.printTable([]string{"DEVICE", "NAME", "PLATFORM", "LAST SEEN"}, cells)
		return nil
	})
}

func viewAccount(a *vpn.Account) accountView {
	u := &a.User
	v := accountView{
		userRow: userRow{u.ID, u.Email, u.Name, string(u.Status), roleWord(u.Role), u.CreatedAt},
		Plan:    a.Entitlement.Plan.Code, State: string(a.Status), Access: a.Access.Allowed, Reason: string(a.Access.Reason),
		Factor: a.Factor.IsOn(), Codes: a.Factor.RecoveryCodes, Passkeys: a.Passkeys,
		Used: a.Traffic.Used, Limit: a.Traffic.Limit, Devices: make([]deviceRow, 0, len(a.Devices)),
	}
	if at := a.Entitlement.Subscription.ExpiresAt; !at.IsZero() {
		v.ExpiresAt = &at
	}
	for _, d := range a.Devices {
		v.Devices = append(v.Devices, deviceRow{d.ID, d.Name, string(d.Platform), d.LastSeenDay.Format(time.DateOnly)})
	}
	return v
}

// subscription is what the account is subscribed to, in words.
func (v *accountView) subscription() string {
	switch {
	case v.Plan == "":
		return v.State
	case v.ExpiresAt == nil:
		return v.State + " " + v.Plan + ", no end"
	}
	return v.State + " " + v.Plan + ", expires: " + v.ExpiresAt.Format(time.RFC3339)
}

// bytesOrUnlimited prints a limit of traffic.
func bytesOrUnlimited(n int64) string {
	if n == 0 {
		return "unlimited"
	}
	return humanBytes(n)
}

func orUnlimited(n int64) string {
	if n == 0 {
		return "unlimited"
	}
	return id(n)
}
