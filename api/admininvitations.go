package api

import (
	"context"

	"stile/vpn"
	"stile/wire"
)

// invitationInput is the input of POST /api/admin/invitations.
type invitationInput struct {
	vpn.NewInvitation
	baseURL string
}

// invitationDays is how long an invitation holds unless told otherwise.
const invitationDays = 7

func (i *invitationInput) read(in *input) {
	i.baseURL = in.x.baseURL()
	if in.isGiven("email") {
		i.Email = in.email("email")
	}
	i.Plan, i.Note = in.text("plan", false), in.text("note", false)
	i.Periods, i.Days = in.count("periods", false), in.count("days", false)
	if i.Periods == 0 {
		i.Periods = 1
	}
	if !in.isGiven("days") {
		i.Days = invitationDays
	}
}

// addInvitation makes an invitation and shows its link once.
func (a *API) addInvitation(ctx context.Context, actor *vpn.Actor, in invitationInput) (wire.AdminNewInvitation, error) {
	i, secret, err := a.service.Invite(ctx, actor, in.NewInvitation)
	return wire.AdminNewInvitation{AdminInvitation: invitationOf(&i), Token: secret, URL: in.baseURL + "/sign-up/" + secret}, err
}

// invitations returns a page of invitations, without what is in their links.
func (a *API) invitations(ctx context.Context, actor *vpn.Actor, in backInput) (*wire.Page[wire.AdminInvitation, int64], error) {
	all, err := a.service.Invitations(ctx, actor, in.before, in.limit+1)
	return pageOf(all, in.limit, invitationOf, func(i *vpn.Invitation) int64 { return i.ID }), err
}

func invitationOf(i *vpn.Invitation) wire.AdminInvitation {
	return wire.AdminInvitation{
		ID: i.ID, Email: orNull(i.Email), PlanID: orNull(i.PlanID), Periods: i.Periods, Note: i.Note, CreatedAt: wire.Seconds(i.CreatedAt),
		ExpiresAt: wire.Seconds(i.ExpiresAt), UsedAt: wire.SecondsOrNull(i.UsedAt), UserID: orNull(i.UserID),
	}
}

// removeInvitation deletes an invitation.
func (a *API) removeInvitation(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.RemoveInvitation(ctx, actor, in.id)
}

// resetFactor turns a user's second factor off.
func (a *API) resetFactor(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.ResetSecondFactor(ctx, actor, in.id)
}

// resetPasskeys deletes all passkeys of a user.
func (a *API) resetPasskeys(ctx context.Context, actor *vpn.Actor, in named) (done, error) {
	return done{}, a.service.ResetPasskeys(ctx, actor, in.id)
}
