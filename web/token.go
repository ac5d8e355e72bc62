package web

import (
	"slices"
	"strconv"
	"time"

	"stile/vpn"
)

// tokenDays are the lifetimes that a token may have, in days; 0 = for good.
var tokenDays = []int{30, 90, 365, 0}

// tokenScopes are what a token can be made good for, all of the user's own first.
var tokenScopes = []string{"account", "account:read", "servers:read", "keys", "admin:read", "admin:write"}

// offeredScopes are those of them that mean something for who asks.
func offeredScopes(v *visit) []string {
	if operates(&v.actor.User) {
		return tokenScopes
	}
	return tokenScopes[:4]
}

// tokensPage lists the API tokens of an account.
type tokensPage struct {
	Tokens []vpn.Token
	Days   []int
	Now    time.Time
	Name   string
	Chosen int
	// Scopes are those to choose from, Wanted the chosen ones.
	Scopes, Wanted []string
	// Made is a new token, shown this once.
	Made    string
	Problem problem
}

func (s *Site) tokens(v *visit) error {
	return s.showTokens(v, 200, tokensPage{Chosen: tokenDays[1], Wanted: tokenScopes[:1]})
}

func (s *Site) showTokens(v *visit, status int, p tokensPage) error {
	var err error
	p.Days, p.Now, p.Scopes = tokenDays, s.service.Now(), offeredScopes(v)
	if p.Tokens, err = s.service.Tokens(v.r.Context(), v.actor); err != nil {
		return err
	}
	return v.page(status, "tokens", p)
}

func (s *Site) addToken(v *visit) error {
	form := tokensPage{Name: v.form("name"), Chosen: tokenDays[1]}
	for _, days := range tokenDays {
		if strconv.Itoa(days) == v.form("days") {
			form.Chosen = days
		}
	}
	var expiresAt time.Time
	if form.Chosen > 0 {
		expiresAt = s.service.Now().AddDate(0, 0, form.Chosen)
	}
	var scopes vpn.Scopes
	for _, word := range offeredScopes(v) {
		if slices.Contains(v.r.PostForm["scope"], word) {
			scope, _ := vpn.ParseScopes(word)
			scopes, form.Wanted = scopes|scope, append(form.Wanted, word)
		}
	}
	var err error
	var token string
	if scopes == 0 { // which would be all
		err = &vpn.Error{Code: vpn.CodeValidationFailed, Field: "scope", Rule: "required"}
	} else {
		token, err = s.service.AddToken(v.r.Context(), v.actor, v.actor.User.ID, form.Name, expiresAt, scopes)
	}
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showTokens(v, status, form)
		})
	}
	return s.showTokens(v, 201, tokensPage{Made: token, Chosen: tokenDays[1], Wanted: tokenScopes[:1]})
}

func (s *Site) removeToken(v *visit) error {
	if err := s.service.RemoveToken(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done("/account/tokens", "token_removed")
}
