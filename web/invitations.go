package web

import (
	"net/http"
	"strconv"

	"stile/vpn"
)

// invitationsPage lists invitations, the newest first.
type invitationsPage struct {
	Invitations []invitationRow
	// Before is where the page begins, Next where the following one does; 0 = at the newest, and none.
	Before, Next int64
	Plans        []vpn.Plan
	Names        map[int64]vpn.Text // of plans
	Form         invitationForm
	// Link is a new one, shown this once.
	Link string
	// IsClosed tells that nobody may sign up, invited or not.
	IsClosed bool
}

// invitationRow is an invitation with its state: used, late or open.
type invitationRow struct {
	vpn.Invitation
	State string
}

// invitationForm is an invitation to be made.
type invitationForm struct {
	Email, Plan, Periods, Days, Note string
	Problem                          problem
}

func (s *Site) invitations(v *visit) error {
	return s.showInvitations(v, http.StatusOK, invitationsPage{Form: invitationForm{Periods: "1", Days: "7"}})
}

func (s *Site) showInvitations(v *visit, status int, p invitationsPage) error {
	p.Before, _ = strconv.ParseInt(v.r.URL.Query().Get("before"), 10, 64)
	p.Before = max(0, p.Before)
	all, err := s.service.Invitations(v.r.Context(), v.actor, p.Before, pageRows+1)
	if err != nil {
		return err
	}
	if len(all) > pageRows {
		all = all[:pageRows]
		p.Next = all[pageRows-1].ID
	}
	for i := range all {
		row := invitationRow{all[i], "open"}
		switch {
		case !all[i].UsedAt.IsZero():
			row.State = "used"
		case !all[i].Holds(s.service.Now()):
			row.State = "late"
		}
		p.Invitations = append(p.Invitations, row)
	}
	if p.Plans, err = s.service.Plans(v.r.Context(), v.actor); err != nil {
		return err
	}
	p.Names = make(map[int64]vpn.Text, len(p.Plans))
	for i := range p.Plans {
		p.Names[p.Plans[i].ID] = p.Plans[i].Name
	}
	p.IsClosed = s.service.Settings(v.r.Context()).SignUp == vpn.SignUpClosed
	return v.page(status, "invitations", p)
}

// addInvitation makes an invitation and shows its link once.
func (s *Site) addInvitation(v *visit) error {
	form := invitationForm{Email: v.form("email"), Plan: v.form("plan"), Periods: v.form("periods"), Days: v.form("days"), Note: v.form("note")}
	secret, err := s.invite(v, &form)
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showInvitations(v, status, invitationsPage{Form: form})
		})
	}
	return s.showInvitations(v, http.StatusCreated, invitationsPage{Form: form, Link: v.baseURL() + "/sign-up/" + secret})
}

func (s *Site) invite(v *visit, f *invitationForm) (string, error) {
	in := vpn.NewInvitation{Email: f.Email, Plan: f.Plan, Note: f.Note}
	for _, field := range []struct {
		name, text string
		to         *int
	}{{"periods", f.Periods, &in.Periods}, {"days", f.Days, &in.Days}} {
		if err := readWhole(field.name, field.text, field.to); err != nil {
			return "", err
		}
	}
	_, secret, err := s.service.Invite(v.r.Context(), v.actor, in)
	return secret, err
}

func (s *Site) removeInvitation(v *visit) error {
	if err := s.service.RemoveInvitation(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done("/admin/invitations", "invitation_removed")
}

// resetUserFactor turns the second factor off for a user who has lost it.
func (s *Site) resetUserFactor(v *visit) error {
	return s.onUser(v, "", "user_factor_off", func(id int64) error {
		if err := notSelf(v, id); err != nil { // one's own is turned off with a password or a code
			return err
		}
		return s.service.ResetSecondFactor(v.r.Context(), v.actor, id)
	})
}

// resetUserPasskeys deletes all passkeys of a user who has lost them.
func (s *Site) resetUserPasskeys(v *visit) error {
	return s.onUser(v, "", "user_passkeys_removed", func(id int64) error {
		return s.service.ResetPasskeys(v.r.Context(), v.actor, id)
	})
}
