package web

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"stile/vpn"
)

// factorPath is the page of the second factor.
const factorPath = "/account/second-factor"

// factorPage is where a user turns the second factor on and off.
type factorPage struct {
	Factor vpn.SecondFactor
	// Secret and Code are what an authenticator takes, until it is confirmed; "" and nil otherwise.
	Secret string
	URI    template.URL
	Code   *qrCode
	// Codes are new recovery codes, shown this once.
	Codes []string
	// Form names the form that Problem is of.
	Form    string
	Problem problem
}

func (s *Site) secondFactor(v *visit) error {
	return s.showFactor(v, http.StatusOK, factorPage{})
}

func (s *Site) showFactor(v *visit, status int, p factorPage) error {
	var err error
	if p.Factor, err = s.service.SecondFactor(v.r.Context(), v.actor); err != nil {
		return err
	}
	if p.Factor.ID != 0 && !p.Factor.IsOn() {
		uri := p.Factor.Secret.URI(s.issuer(), v.actor.User.Email)
		code, err := newQR(uri)
		if err != nil {
			return err
		}
		p.Secret, p.URI, p.Code = inGroups(p.Factor.Secret.Text()), template.URL(uri), &code //nolint:gosec // vpn escapes it
	}
	return v.page(status, "secondfactor", p)
}

// issuer names the service in authenticators.
func (s *Site) issuer() string {
	if u, err := url.Parse(s.publicURL); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "Stile"
}

// inGroups puts a blank after every four letters, for those who type.
func inGroups(text string) string {
	var b strings.Builder
	for i, c := range text {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// againFactor shows the page with what was wrong with one of its forms.
func (s *Site) againFactor(v *visit, form string, err error) error {
	return v.retry(err, func(status int, p problem) error {
		return s.showFactor(v, status, factorPage{Form: form, Problem: p})
	})
}

func (s *Site) beginFactor(v *visit) error {
	if err := s.service.BeginSecondFactor(v.r.Context(), v.actor, v.password("password"), s.address(v.r)); err != nil {
		return s.againFactor(v, "begin", err)
	}
	return v.redirect(factorPath)
}

func (s *Site) confirmFactor(v *visit) error {
	codes, err := s.service.ConfirmSecondFactor(v.r.Context(), v.actor, v.form("code"))
	if err != nil {
		return s.againFactor(v, "confirm", err)
	}
	return s.showFactor(v, http.StatusCreated, factorPage{Codes: codes})
}

func (s *Site) renewCodes(v *visit) error {
	codes, err := s.service.RenewRecoveryCodes(v.r.Context(), v.actor, s.proof(v))
	if err != nil {
		return s.againFactor(v, "codes", err)
	}
	return s.showFactor(v, http.StatusCreated, factorPage{Codes: codes})
}

func (s *Site) removeFactor(v *visit) error {
	if err := s.service.RemoveSecondFactor(v.r.Context(), v.actor, s.proof(v)); err != nil {
		return s.againFactor(v, "off", err)
	}
	return v.done(factorPath, "factor_off")
}

// proof is a password or a code, whichever was filled in.
func (s *Site) proof(v *visit) vpn.Proof {
	return vpn.Proof{Password: v.password("password"), Code: v.form("code"), Address: s.address(v.r)}
}
