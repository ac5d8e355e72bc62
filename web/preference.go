package web

import (
	"net/http"
	"strings"

	"stile/internal/locale"
)

// The cookies of what a visitor chose to see. They say nothing about who it is.
const (
	langCookie  = "lang"
	themeCookie = "theme"
	// preferenceLife is a year, in seconds.
	preferenceLife = 365 * 24 * 60 * 60
)

// themes are the choices; "auto" follows the system.
var themes = []string{"auto", "light", "dark"}

// preferredTheme is the theme that a visitor chose.
func preferredTheme(r *http.Request) string {
	if cookie, err := r.Cookie(themeCookie); err == nil {
		for _, theme := range themes {
			if theme == cookie.Value {
				return theme
			}
		}
	}
	return themes[0]
}

// setPreferences keeps a choice of language or theme and leads back to where it was made.
func (s *Site) setPreferences(v *visit) error {
	if chosen, ok := locale.Known(v.form("lang")); ok {
		http.SetCookie(v.w, s.cookie(langCookie, string(chosen), preferenceLife))
	}
	for _, theme := range themes {
		if theme == v.form("theme") {
			http.SetCookie(v.w, s.cookie(themeCookie, theme, preferenceLife))
		}
	}
	return v.redirect(localPath(v.form("back"), "/"))
}

// localPath is a path of this site, or other for what would lead elsewhere.
func localPath(path, other string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") || len(path) > 512 {
		return other
	}
	return path
}
