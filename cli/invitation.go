package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"stile/vpn"
)

// InvitationCmd is `stile invitation`.
type InvitationCmd struct {
	Add    InvitationAddCmd    `cmd:"" help:"Make an invitation for one account."`
	List   InvitationListCmd   `cmd:"" help:"List invitations, the newest first."`
	Remove InvitationRemoveCmd `cmd:"" help:"Delete an invitation; an account that was made by it stays."`
}

// linkFlags say where the service is, for links to hand out.
type linkFlags struct {
	PublicURL string `name:"public-url" placeholder:"URL" help:"Address that users know the service by, as 'stile serve' is told."`
}

// check refuses what is no address, before a secret is made that is shown once.
func (f linkFlags) check() error {
	if u, err := url.Parse(f.PublicURL); f.PublicURL != "" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https")) {
		return fmt.Errorf("--public-url %q: want an address such as https://vpn.example.net", f.PublicURL)
	}
	return nil
}

// printLink prints the address of a page, or its path where nobody said where the service is.
func (f linkFlags) printLink(t *Terminal, path string) {
	t.printf("%s%s\n", strings.TrimRight(f.PublicURL, "/"), path)
	if f.PublicURL == "" {
		t.notef("Put the address of the service before it; --public-url or STILE_PUBLIC_URL does.\n")
	}
}

// InvitationAddCmd is `stile invitation add`.
type InvitationAddCmd struct {
	databaseFlags
	linkFlags
	Email   string `help:"Whom it is for; by default anybody who has it."`
	Plan    string `placeholder:"CODE" help:"Begin with periods of this plan."`
	Periods *int   `range:"1..1200" placeholder:"N" help:"How many periods; one by default."`
	Days    int    `range:"1..365" default:"7" help:"For how many days it holds, 1 to 365."`
	Note    string `help:"What it is for; shown to operators."`
}

// Run makes the invitation.
func (c *InvitationAddCmd) Run(ctx context.Context, t *Terminal) error {
	if c.Periods != nil && c.Plan == "" {
		return errors.New("--periods: say of which plan, with --plan")
	}
	if err := c.check(); err != nil {
		return err
	}
	return c.use(ctx, func(s *vpn.Service) error {
		in := vpn.NewInvitation{Email: c.Email, Plan: c.Plan, Periods: 1, Days: c.Days, Note: c.Note}
		setFrom(&in.Periods, c.Periods)
		i, secret, err := s.Invite(ctx, shell, in)
		if err != nil {
			return err
		}
		c.printLink(t, "/sign-up/"+secret)
		t.notef("It is shown this once, works once, and until %s.\n", i.ExpiresAt.Format(time.DateOnly))
		if s.Settings(ctx).SignUp == vpn.SignUpClosed {
			t.notef("Nobody may sign up now; to let invited people: stile settings set --sign-up invitation\n")
		}
		return nil
	})
}

// InvitationListCmd is `stile invitation list`.
type InvitationListCmd struct {
	databaseFlags
	Limit int  `range:"1..100000" default:"100" help:"How many at the most."`
	JSON  bool `name:"json" help:"Print JSON."`
}

type invitationRow struct {
	ID        int64      `json:"id"`
	Email     string     `json:"email"`
	PlanID    int64      `json:"plan_id"`
	Periods   int        `json:"periods"`
	Note      string     `json:"note"`
	ExpiresAt time.Time  `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at"`
	UserID    int64      `json:"user_id"`
}

// Run lists the invitations.
func (c *InvitationListCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		all, err := s.Invitations(ctx, shell, 0, c.Limit)
		if err != nil {
			return err
		}
		rows, cells := make([]invitationRow, 0, len(all)), make([][]string, 0, len(all))
		for i := range all {
			v := &all[i]
			r := invitationRow{v.ID, v.Email, v.PlanID, v.Periods, v.Note, v.ExpiresAt, nil, v.UserID}
			state := "until " + v.ExpiresAt.Format(time.DateOnly)
			switch {
			case !v.UsedAt.IsZero():
				r.UsedAt, state = &v.UsedAt, "used by "+id(v.UserID)
			case !v.Holds(s.Now()):
				state = "too old"
			}
			rows = append(rows, r)
			cells = append(cells, []string{id(v.ID), cmp.Or(v.Email, "anybody"), state, clean(v.Note)})
		}
		if c.JSON {
			return t.printJSON(rows)
		}
		t.printTable([]string{"ID", "FOR", "STATE", "NOTE"}, cells)
		return nil
	})
}

// InvitationRemoveCmd is `stile invitation remove`.
type InvitationRemoveCmd struct {
	databaseFlags
	ID int64 `arg:"" name:"id" help:"Number of the invitation, as 'stile invitation list' shows it."`
}

// Run deletes the invitation.
func (c *InvitationRemoveCmd) Run(ctx context.Context, t *Terminal) error {
	return c.use(ctx, func(s *vpn.Service) error {
		if err := s.RemoveInvitation(ctx, shell, c.ID); err != nil {
			return unfound(err, "invitation "+id(c.ID), "invitation list")
		}
		t.printf("Invitation %d is deleted.\n", c.ID)
		return nil
	})
}
