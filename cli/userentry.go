package cli

import (
	"context"
	"fmt"
	"time"

	"stile/vpn"
)

// UserResetCmd is `stile user reset`.
type UserResetCmd struct {
	userRef
	linkFlags
}

// Run makes the link.
func (c *UserResetCmd) Run(ctx context.Context, t *Terminal) error {
	if err := c.check(); err != nil {
		return err
	}
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		secret, until, err := s.ResetPassword(ctx, shell, u.ID)
		if err != nil {
			return err
		}
		c.printLink(t, "/reset/"+secret)
		t.notef("It is shown this once, works once, and until %s.\n", until.Format(time.RFC3339))
		return nil
	})
}

// UserOTPOffCmd is `stile user otp-off`.
type UserOTPOffCmd struct{ userRef }

// Run turns the second factor off.
func (c *UserOTPOffCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		err := s.ResetSecondFactor(ctx, shell, u.ID)
		if vpn.CodeOf(err) == vpn.CodeNotFound {
			return fmt.Errorf("%s has no second factor", u.Email)
		}
		if err != nil {
			return err
		}
		t.printf("The second factor of %s is off: the password alone signs in.\n", u.Email)
		return nil
	})
}

// UserPasskeysOffCmd is `stile user passkeys-off`.
type UserPasskeysOffCmd struct{ userRef }

// Run deletes the passkeys.
func (c *UserPasskeysOffCmd) Run(ctx context.Context, t *Terminal) error {
	return c.with(ctx, func(s *vpn.Service, u vpn.User) error {
		err := s.ResetPasskeys(ctx, shell, u.ID)
		if vpn.CodeOf(err) == vpn.CodeNotFound {
			return fmt.Errorf("%s has no passkeys", u.Email)
		}
		if err != nil {
			return err
		}
		t.printf("The passkeys of %s are deleted.\n", u.Email)
		return nil
	})
}
