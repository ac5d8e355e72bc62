package web

import (
	"net/http"

	"stile/vpn"
)

// cookieName is the session's cookie. With https its prefix makes browsers refuse one that another host, or plain HTTP,
// has set (RFC 6265bis section 4.1.3.2).
func (s *Site) cookieName() string {
	if s.isSecure {
		return "__Host-stile"
	}
	return "stile"
}

// cookie makes a cookie that scripts cannot read and that other sites cannot use to change anything.
func (s *Site) cookie(name, value string, seconds int) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: s.isSecure, SameSite: http.SameSiteLaxMode,
	}
}

// authenticate sets the actor of a session that holds. A cookie that means nothing is as good as none.
func (v *visit) authenticate() error {
	cookie, err := v.r.Cookie(v.site.cookieName())
	if err != nil {
		return nil //nolint:nilerr // no cookie
	}
	actor, err := v.site.service.Browser(v.r.Context(), cookie.Value)
	if vpn.CodeOf(err) == vpn.CodeUnauthenticated {
		return nil
	}
	if err != nil {
		return err
	}
	v.secret, v.actor = cookie.Value, actor
	return nil
}

// begin gives the browser its session.
func (v *visit) begin(secret string) {
	http.SetCookie(v.w, v.site.cookie(v.site.cookieName(), secret, int(vpn.BrowserLife.Seconds())))
}

// forget takes the session's cookie away.
func (v *visit) forget() { http.SetCookie(v.w, v.site.cookie(v.site.cookieName(), "", -1)) }
