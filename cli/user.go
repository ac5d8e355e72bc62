package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"stile/store"
	"stile/vpn"
)

// UserCmd is `stile user`.
type UserCmd struct {
	Add         UserAddCmd         `cmd:"" help:"Make an account."`
	List        UserListCmd        `cmd:"" help:"List accounts."`
	Show        UserShowCmd        `cmd:"" help:"Show one account: subscription, traffic, devices."`
	Diagnose    UserDiagnoseCmd    `cmd:"" help:"Say why a user can't connect, and what to do."`
	Password    UserPasswordCmd    `cmd:"" help:"Set a password and sign every device out."`
	Subscribe   UserSubscribeCmd   `cmd:"" help:"Give periods of a plan."`
	Expire      UserExpireCmd      `cmd:"" help:"Move the end of the subscription."`
	Role        UserRoleCmd        `cmd:"" help:"Say what an account may do beyond using the service."`
	Block       UserBlockCmd       `cmd:"" help:"Block an account; its keys stop at once."`
	Unblock     UserUnblockCmd     `cmd:"" help:"Unblock an account; its keys work again."`
	SignOut     UserSignOutCmd     `cmd:"" help:"Sign a device out and end its keys."`
	Reset       UserResetCmd       `cmd:"" help:"Make a link with which the user sets a new password, once, within a day."`
	OTPOff      UserOTPOffCmd      `cmd:"" name:"otp-off" help:"Turn the second factor off for somebody who has lost it."`
	PasskeysOff UserPasskeysOffCmd `cmd:"" name:"passkeys-off" help:"Delete all passkeys of somebody who has lost them."`
	Token       UserTokenCmd       `cmd:"" help:"Make an API token, shown once."`
	Remove      UserRemoveCmd      `cmd:"" help:"Delete an account and all it has."`
}

// shell is who acts at the command line of the machine.
var shell = vpn.Shell() //nolint:gochecknoglobals // a constant that Go cannot declare as one

// readPassword reads one line from standard input, or makes a random password, and reports which.
func readPassword(fromStdin bool, in io.Reader) (word string, isRandom bool, err error) {
	if !fromStdin {
		return strings.ToLower(rand.Text()[:20]), true, nil
	}
	word, err = bufio.NewReader(in).ReadString('\n')
	if errors.Is(err, io.EOF) {
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
	Operator      bool   `help:"May manage everything: an owner. Other roles: 'stile user role'."`
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
	return c.useOrMake(ctx, t, func(_ *store.Store, s *vpn.Service) error {
		if c.Plan != "" { // looked at first: a plan that is mistyped must not leave half of what was asked for
			if err := s.CheckBulk(ctx, shell, vpn.Bulk{Action: vpn.BulkPlan, Plan: c.Plan, Periods: 1}); err != nil {
				return err
			}
		}
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
				return fmt.Errorf("account %d made, but: %s", u.ID, explain(err, nil))
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
			return unfound(err, "user "+r.Email, "user list")
		}
		return do(s, u)
	})
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
	Name  string   `arg:"" help:"What the token is for."`
	Days  int      `range:"0..36500" help:"Expires after this many days; 0 is never."`
	Scope []string `enum:"account,account:read,servers:read,keys,admin:read,admin:write" default:"account" help:"What it is good for, within what the account may do: account (all of the user's own), account:read, servers:read, keys, admin:read, admin:write."`
}

// Run makes the token.
func (c *UserTokenCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		var expiresAt time.Time
		if c.Days > 0 {
			expiresAt = time.Now().AddDate(0, 0, c.Days)
		}
		scopes, _ := vpn.ParseScopes(strings.Join(c.Scope, " ")) // of the enum
		token, err := s.AddToken(ctx, shell, u.ID, c.Name, expiresAt, scopes)
		if err != nil {
			return err
		}
		t.printf("%s\n", token)
		return nil
	})
}

// UserRoleCmd is `stile user role`.
type UserRoleCmd struct {
	userRef
	Role string `arg:"" enum:"owner,admin,support,viewer,user" help:"owner, admin, support, viewer or user."`
}

// Run changes the role.
func (c *UserRoleCmd) Run(ctx context.Context, t *Terminal) error {
	role, _ := vpn.ParseRole(c.Role) // one of the enum
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		if err := s.SetRole(ctx, shell, u.ID, role); err != nil {
			return err
		}
		t.printf("%s: %s\n", u.Email, role)
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
