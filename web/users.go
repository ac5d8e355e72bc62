package web

import (
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"strconv"
	"strings"
	"time"

	"stile/vpn"
)

// usersPage is a page of accounts.
type usersPage struct {
	vpn.UserPage
	Filter  userFilter
	After   int64
	Plans   []vpn.Plan
	Form    userForm
	Bulk    bulkForm
	Actions []vpn.BulkAction
}

// userForm is an account to be made.
type userForm struct {
	Email, Name, Plan string
	Problem           problem
}

func (s *Site) users(v *visit) error { return s.showUsers(v, http.StatusOK, usersPage{}) }

// showUsers shows the accounts that the page's filter, or that of the address, finds.
func (s *Site) showUsers(v *visit, status int, p usersPage) error {
	query := v.r.URL.Query()
	after, _ := strconv.ParseInt(query.Get("after"), 10, 64)
	if p.After, p.Actions = max(0, after), bulkActions; v.r.Method == http.MethodGet {
		p.Filter = userFilterOf(v, query.Get)
	}
	if p.Bulk.Action == "" {
		p.Bulk.Action, p.Bulk.Days, p.Bulk.Periods = string(vpn.BulkExtend), "30", "1"
	}
	var err error
	if p.Plans, err = s.service.Plans(v.r.Context(), v.actor); err != nil {
		return err
	}
	filter := p.Filter.domain(p.Plans, s.service.Now())
	filter.After, filter.Limit = p.After, pageRows
	if p.UserPage, err = s.service.Users(v.r.Context(), v.actor, filter); err != nil {
		return err
	}
	return v.page(status, "users", &p)
}

// addUser makes an account with a password of random letters, which is shown once.
func (s *Site) addUser(v *visit) error {
	form, password := userForm{Email: v.form("email"), Name: v.form("name"), Plan: v.form("plan")}, newPassword()
	made, err := s.service.AddUser(v.r.Context(), v.actor, vpn.NewAccount{Email: form.Email, Name: form.Name, Password: password, Locale: string(v.lang)})
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showUsers(v, status, usersPage{Form: form})
		})
	}
	if form.Plan != "" {
		if _, err := s.service.Subscribe(v.r.Context(), v.actor, made.ID, form.Plan, 1); err != nil { // the account is there all the same
			return v.retry(err, func(status int, p problem) error {
				return s.showUser(v, status, made.ID, userPage{Password: password, Form: "subscription", Problem: p})
			})
		}
	}
	return s.showUser(v, http.StatusCreated, made.ID, userPage{Password: password})
}

// newPassword returns 80 random bits as letters and digits that are easy to read out.
func newPassword() string {
	var raw [10]byte
	_, _ = rand.Read(raw[:]) // never fails
	text := strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// userPage is one user with everything.
type userPage struct {
	*vpn.Inspection
	Plans  []vpn.Plan
	Chart  chart
	IsSelf bool
	// DaysLeft of the subscription, if HasEnd.
	DaysLeft int
	HasEnd   bool
	// Why says whether the user can connect, and if not, why; WhyEach says the same of each key of each device.
	Why     diagnosisRow
	WhyEach []diagnosisRow
	// Payments and Audit are the newest.
	Payments []paymentRow
	Audit    []auditEntry
	Roles    []vpn.Role
	// Password is a new one, and Reset a link to set one, shown this once.
	Password string
	Reset    string
	// Form names the form that Problem is of.
	Form    string
	Problem problem
}

func (s *Site) user(v *visit) error { return s.showUser(v, http.StatusOK, v.pathID("id"), userPage{}) }

func (s *Site) showUser(v *visit, status int, id int64, p userPage) error {
	var err error
	if p.Inspection, err = s.service.Inspect(v.r.Context(), v.actor, id, historyDays); err != nil {
		return err
	}
	if p.Plans, err = s.service.Plans(v.r.Context(), v.actor); err != nil {
		return err
	}
	p.IsSelf = id == v.actor.User.ID
	p.DaysLeft, p.HasEnd = p.Entitlement.DaysLeft(p.Now)
	p.Chart = newChart(s.texts, v.lang, p.Usage, p.Now)
	if err := s.diagnose(v, &p); err != nil {
		return err
	}
	if err := s.history(v, &p); err != nil {
		return err
	}
	p.Roles = []vpn.Role{"", vpn.RoleViewer, vpn.RoleSupport, vpn.RoleAdmin, vpn.RoleOwner}
	return v.page(status, "user", p)
}

// onUser does something to the user of the path and shows the page of the user: what was done, or what was wrong with a form.
func (s *Site) onUser(v *visit, form, done string, do func(id int64) error) error {
	id := v.pathID("id")
	err := do(id)
	switch vpn.CodeOf(err) {
	case "":
		if err != nil {
			return err
		}
		return v.done("/admin/users/"+number(id), done)
	case vpn.CodeNotFound, vpn.CodeDeviceNotFound, vpn.CodeForbidden:
		return err
	default:
		return v.retry(err, func(status int, p problem) error {
			return s.showUser(v, status, id, userPage{Form: form, Problem: p})
		})
	}
}

// notSelf refuses what would shut the operator out who does it.
func notSelf(v *visit, id int64) error {
	if id == v.actor.User.ID {
		return vpn.Refusal(vpn.CodeForbidden)
	}
	return nil
}

func (s *Site) setStatus(v *visit) error {
	status, done := vpn.UserActive, "user_unblocked"
	if v.form("status") == string(vpn.UserBlocked) {
		status, done = vpn.UserBlocked, "user_blocked"
	}
	return s.onUser(v, "status", done, func(id int64) error {
		if err := notSelf(v, id); err != nil {
			return err
		}
		return s.service.SetUserStatus(v.r.Context(), v.actor, id, status)
	})
}

func (s *Site) subscribe(v *visit) error {
	periods, _ := strconv.Atoi(v.form("periods")) // 0 is refused
	return s.onUser(v, "subscription", "subscribed", func(id int64) error {
		_, err := s.service.Subscribe(v.r.Context(), v.actor, id, v.form("plan"), periods)
		return err
	})
}

// setExpiry lets a subscription end with a day.
func (s *Site) setExpiry(v *visit) error {
	return s.onUser(v, "expiry", "expiry_set", func(id int64) error {
		last, err := time.Parse(time.DateOnly, v.form("until"))
		if err != nil || last.Year() > 2200 {
			return &vpn.Error{Code: vpn.CodeValidationFailed, Field: "until", Rule: "in"}
		}
		return s.service.SetExpiry(v.r.Context(), v.actor, id, last.AddDate(0, 0, 1).Add(-time.Second))
	})
}

// extend adds days to a subscription: what support may do, within its bound.
func (s *Site) extend(v *visit) error {
	return s.onUser(v, "extension", "extended", func(id int64) error {
		days := 0
		if err := readWhole("days", v.form("days"), &days); err != nil {
			return err
		}
		_, err := s.service.Extend(v.r.Context(), v.actor, id, days)
		return err
	})
}

// signOutUser ends all sessions of a user.
func (s *Site) signOutUser(v *visit) error {
	return s.onUser(v, "", "user_signed_out", func(id int64) error {
		if err := notSelf(v, id); err != nil {
			return err
		}
		return s.service.SignOutUser(v.r.Context(), v.actor, id)
	})
}

// makeReset makes a link by which a user sets a new password, and shows it once.
func (s *Site) makeReset(v *visit) error {
	id := v.pathID("id")
	if err := notSelf(v, id); err != nil {
		return err
	}
	secret, _, err := s.service.ResetPassword(v.r.Context(), v.actor, id)
	if err != nil {
		return err
	}
	return s.showUser(v, http.StatusOK, id, userPage{Reset: v.baseURL() + "/reset/" + secret})
}

// setRole says what a user may do beyond using the service.
func (s *Site) setRole(v *visit) error {
	return s.onUser(v, "role", "role_set", func(id int64) error {
		if err := notSelf(v, id); err != nil {
			return err
		}
		role, ok := vpn.ParseRole(v.form("role"))
		if !ok {
			return notIn("role")
		}
		return s.service.SetRole(v.r.Context(), v.actor, id, role)
	})
}

// setPassword gives a user a random password and shows it once.
func (s *Site) setPassword(v *visit) error {
	id, password := v.pathID("id"), newPassword()
	if err := notSelf(v, id); err != nil { // the settings do that, and ask for the old one
		return err
	}
	if err := s.service.SetPassword(v.r.Context(), v.actor, id, password); err != nil {
		return err
	}
	return s.showUser(v, http.StatusOK, id, userPage{Password: password})
}

func (s *Site) removeUserDevice(v *visit) error {
	return s.onUser(v, "", "device_removed", func(id int64) error {
		return s.service.RemoveUserDevice(v.r.Context(), v.actor, id, v.pathID("device"))
	})
}

// removeUser deletes a user whose e-mail was typed.
func (s *Site) removeUser(v *visit) error {
	id := v.pathID("id")
	if err := notSelf(v, id); err != nil {
		return err
	}
	account, err := s.service.Account(v.r.Context(), v.actor, id)
	if err != nil {
		return err
	}
	if vpn.NormalEmail(v.form("email")) != account.User.Email {
		return s.onUser(v, "remove", "", func(int64) error {
			return &vpn.Error{Code: vpn.CodeValidationFailed, Field: "email", Rule: "same"}
		})
	}
	if err := s.service.RemoveUser(v.r.Context(), v.actor, id); err != nil {
		return err
	}
	return v.done("/admin/users", "user_removed")
}
