package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
)

// UserCmd is `stile user`.
type UserCmd struct {
	Add       UserAddCmd       `cmd:"" help:"Make an account."`
	List      UserListCmd      `cmd:"" help:"List accounts."`
	Show      UserShowCmd      `cmd:"" help:"Show one account: subscription, traffic, devices."`
	Password  UserPasswordCmd  `cmd:"" help:"Set a password and sign every device out."`
	Subscribe UserSubscribeCmd `cmd:"" help:"Give periods of a plan."`
	Expire    UserExpireCmd    `cmd:"" help:"Move the end of the subscription."`
	Block     UserBlockCmd     `cmd:"" help:"Block an account; its keys stop at once."`
	Unblock   UserUnblockCmd   `cmd:"" help:"Unblock an account; its keys work again."`
	SignOut   UserSignOutCmd   `cmd:"" help:"Sign a device out and end its keys."`
	Token     UserTokenCmd     `cmd:"" help:"Make an API token, shown once."`
	Remove    UserRemoveCmd    `cmd:"" help:"Delete an account and all it has."`
}

// shell is who acts at the command line of the machine.
var shell = vpn.Shell() //nolint:gochecknoglobals // a constant that Go cannot declare as one

// readPassword reads one line from standard input, or makes a random password, and reports which.
func readPassword(fromStdin bool, in io.Reader) (word string, isRandom bool, err error) {
	if !fromStdin {
		return strings.ToLower(rand.Text()[:20]), true, nil
	}
	word, err = bufio.NewReader(in).ReadString('\n')
	if err == io.EOF { //nolint:errorlint // ReadString returns the bare value
		err = nil
	}
	return strings.TrimRight(word, "\r\n"), false, err
}

// UserAddCmd is `stile user add`.
type UserAddCmd struct {
	databaseFlags
	Email         string `arg:"" help:"E-mail address to sign in with."`
	Name          string `help:"Shown name; by default what stands before the @."`
	Locale        string `enum:"ru,en" default:"ru" help:"Language of mails: ru or en."`
	Operator      bool   `help:"May manage the service."`
	Plan          string `placeholder:"CODE" help:"Subscribe to this plan for one period."`
	PasswordStdin bool   `help:"Read the password from standard input; by default a random one is made and printed once."`
	JSON          bool   `name:"json" help:"Print JSON."`
}

// Run makes the account.
func (c *UserAddCmd) Run(ctx context.Context, t *Terminal) error {
	word, isRandom, err := readPassword(c.PasswordStdin, t.In)
	if err != nil {
		return err
	}
	return c.use(ctx, func(s *vpn.Service) error {
		u, err := s.AddUser(ctx, shell, vpn.NewAccount{
			Email: c.Email, Name: c.Name, Password: word, Locale: c.Locale, IsOperator: c.Operator,
		})
		if err != nil {
			return err
		}
		out := struct {
			ID       int64  `json:"id"`
			Email    string `json:"email"`
			Password string `json:"password,omitempty"`
		}{ID: u.ID, Email: u.Email}
		if isRandom {
			out.Password = word
		}
		if c.Plan != "" {
			if _, err := s.Subscribe(ctx, shell, u.ID, c.Plan, 1); err != nil {
				return fmt.Errorf("account %d made, but: %s", u.ID, explain(err))
			}
		}
		if c.JSON {
			return t.printJSON(out)
		}
		t.printf("Account %d made: %s\n", u.ID, u.Email)
		if isRandom {
			t.printf("Password: %s (shown once)\n", word)
		}
		if c.Plan == "" {
			t.printf("Next: stile user subscribe %s PLAN\n", u.Email)
		}
		return nil
	})
}

// UserListCmd is `stile user list`.
type UserListCmd struct {
	databaseFlags
	Search string `help:"Part of the e-mail or the name."`
	After  int64  `help:"Start after this id."`
	Limit  int    `default:"100" help:"At most this many, up to 1000."`
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
		page, err := s.Users(ctx, shell, vpn.UserFilter{Search: c.Search, After: c.After, Limit: min(max(c.Limit, 1), 1000)})
		if err != nil {
			return err
		}
		rows := make([]userRow, 0, len(page.Users))
		cells := make([][]string, 0, len(page.Users))
		for i := range page.Users {
			u := &page.Users[i]
			rows = append(rows, userRow{u.ID, u.Email, u.Name, string(u.Status), string(u.Role), u.CreatedAt})
			cells = append(cells, []string{id(u.ID), u.Email, u.Name, string(u.Status), string(u.Role)})
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

// id prints an identifier.
func id(n int64) string { return strconv.FormatInt(n, 10) }

// userRef names an account on the command line.
type userRef struct {
	databaseFlags
	Email string `arg:"" help:"E-mail address of the account."`
}

// with runs a command on the named account.
func (r userRef) with(ctx context.Context, do func(*vpn.Service, vpn.User) error) error {
	return r.use(ctx, func(s *vpn.Service) error {
		u, err := s.FindUser(ctx, shell, r.Email)
		if err != nil {
			return err
		}
		return do(s, u)
	})
}

// UserShowCmd is `stile user show`.
type UserShowCmd struct {
	userRef
	JSON bool `name:"json" help:"Print JSON."`
}

// accountView is one account's state, as JSON.
type accountView struct {
	userRow
	Plan      string      `json:"plan,omitempty"`
	State     string      `json:"subscription"`
	ExpiresAt *time.Time  `json:"expires_at"`
	Access    bool        `json:"access"`
	Reason    string      `json:"reason,omitempty"`
	Used      int64       `json:"used_bytes"`
	Limit     int64       `json:"limit_bytes,omitempty"`
	Devices   []deviceRow `json:"devices"`
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
		t.printf("%d  %s  %s  %s %s\n", v.ID, v.Email, v.Name, v.Status, v.Role)
		expires := "never"
		if v.ExpiresAt != nil {
			expires = v.ExpiresAt.Format(time.RFC3339)
		}
		t.printf("Subscription: %s %s, expires: %s\n", v.State, v.Plan, expires)
		if v.Access {
			t.printf("Can connect: yes\n")
		} else {
			t.printf("Can connect: no, %s\n", v.Reason)
		}
		t.printf("Traffic: %d of %s bytes\n", v.Used, orUnlimited(v.Limit))
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
		userRow: userRow{u.ID, u.Email, u.Name, string(u.Status), string(u.Role), u.CreatedAt},
		Plan:    a.Entitlement.Plan.Code, State: string(a.Status), Access: a.Access.Allowed, Reason: string(a.Access.Reason),
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

func orUnlimited(n int64) string {
	if n == 0 {
		return "unlimited"
	}
	return id(n)
}

// UserPasswordCmd is `stile user password`.
type UserPasswordCmd struct {
	userRef
	PasswordStdin bool `help:"Read the password from standard input; by default a random one is made and printed once."`
}

// Run sets the password.
func (c *UserPasswordCmd) Run(ctx context.Context, t *Terminal) error {
	word, isRandom, err := readPassword(c.PasswordStdin, t.In)
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetPassword(ctx, shell, u.ID, word); err != nil {
			return err
		}
		t.printf("Password set; every device of %s is signed out.\n", u.Email)
		if isRandom {
			t.printf("Password: %s (shown once)\n", word)
		}
		return nil
	})
}

// UserSubscribeCmd is `stile user subscribe`.
type UserSubscribeCmd struct {
	userRef
	Plan    string `arg:"" help:"Code of the plan."`
	Periods int    `default:"1" help:"How many periods; a running subscription of the same plan is extended."`
}

// Run gives the periods.
func (c *UserSubscribeCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		sub, err := s.Subscribe(ctx, shell, u.ID, c.Plan, c.Periods)
		if err != nil {
			return err
		}
		if sub.ExpiresAt.IsZero() {
			t.printf("%s has %s for life.\n", u.Email, c.Plan)
			return nil
		}
		t.printf("%s has %s until %s.\n", u.Email, c.Plan, sub.ExpiresAt.Format(time.RFC3339))
		return nil
	})
}

// UserExpireCmd is `stile user expire`.
type UserExpireCmd struct {
	userRef
	At string `arg:"" default:"now" help:"now, a day (2026-12-31) or an instant (2026-12-31T18:00:00Z)."`
}

// Run moves the end of the subscription.
func (c *UserExpireCmd) Run(ctx context.Context, t *Terminal) error {
	at, err := parseInstant(c.At)
	if err != nil {
		return err
	}
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetExpiry(ctx, shell, u.ID, at); err != nil {
			return err
		}
		t.printf("The subscription of %s ends %s.\n", u.Email, at.UTC().Format(time.RFC3339))
		return nil
	})
}

// parseInstant reads now, a day or an RFC 3339 instant.
func parseInstant(text string) (time.Time, error) {
	if text == "now" {
		return time.Now(), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no instant: write now, 2026-12-31 or 2026-12-31T18:00:00Z", text)
}

// UserBlockCmd is `stile user block`.
type UserBlockCmd struct{ userRef }

// Run blocks the account.
func (c *UserBlockCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetUserStatus(ctx, shell, u.ID, vpn.UserBlocked); err != nil {
			return err
		}
		t.printf("%s is blocked; running connections end within a second.\n", u.Email)
		return nil
	})
}

// UserUnblockCmd is `stile user unblock`.
type UserUnblockCmd struct{ userRef }

// Run unblocks the account.
func (c *UserUnblockCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetUserStatus(ctx, shell, u.ID, vpn.UserActive); err != nil {
			return err
		}
		t.printf("%s is active again.\n", u.Email)
		return nil
	})
}

// UserSignOutCmd is `stile user sign-out`.
type UserSignOutCmd struct {
	userRef
	Device int64 `arg:"" help:"Number of the device, as 'stile user show' lists it."`
}

// Run signs the device out.
func (c *UserSignOutCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.RemoveUserDevice(ctx, shell, u.ID, c.Device); err != nil {
			return err
		}
		t.printf("Device %d is signed out; its keys end within a second.\n", c.Device)
		return nil
	})
}

// UserTokenCmd is `stile user token`.
type UserTokenCmd struct {
	userRef
	Name string `arg:"" help:"What the token is for."`
	Days int    `help:"Expires after this many days; 0 is never."`
}

// Run makes the token.
func (c *UserTokenCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		var expiresAt time.Time
		if c.Days > 0 {
			expiresAt = time.Now().AddDate(0, 0, c.Days)
		}
		token, err := s.AddToken(ctx, shell, u.ID, c.Name, expiresAt)
		if err != nil {
			return err
		}
		t.printf("%s\n", token)
		return nil
	})
}

// UserRemoveCmd is `stile user remove`.
type UserRemoveCmd struct{ userRef }

// Run deletes the account.
func (c *UserRemoveCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.RemoveUser(ctx, shell, u.ID); err != nil {
			return err
		}
		t.printf("%s is deleted.\n", u.Email)
		return nil
	})
}
