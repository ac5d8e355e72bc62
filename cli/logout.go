package cli

import (
	"context"
	"errors"

	"stile/client"
)

// LogoutCmd is `stile logout`.
type LogoutCmd struct{}

// Help is shown by --help.
func (*LogoutCmd) Help() string {
	return `Frees this device's slot in the account. What runs through its keys ends.

Example:

  $ stile logout`
}

// Run signs out.
func (c *LogoutCmd) Run(ctx context.Context, t *Terminal) error {
	a, err := openAccount()
	if errors.Is(err, errSignedOut) {
		t.printf("You are not signed in.\n")
		return nil
	}
	if err != nil {
		return err
	}
	message := "Signed out. The keys of this device are dead."
	_, err = a.Logout(ctx)
	switch {
	case client.CodeOf(err) == client.CodeUnauthenticated:
		message = "The session had ended already."
	case err != nil:
		return a.remedy(err)
	}
	if err := a.end(); err != nil {
		return err
	}
	t.printf("%s\n", message)
	return nil
}
