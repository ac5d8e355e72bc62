package web

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"stile/internal/locale"
	"stile/vpn"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages are the templates by language and name. Those whose names begin with "_" are parts of all others.
type pages struct {
	texts *texts
	by    map[locale.Lang]map[string]func() (*template.Template, error)
}

// findPages finds the pages of all languages. Each is made when it is first asked for: all of them, with what they share in each, are
// more than all else that an idle service holds.
func findPages(t *texts, a *assets) (*pages, error) {
	p := &pages{texts: t, by: make(map[locale.Lang]map[string]func() (*template.Template, error))}
	names, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, l := range locale.All() {
		p.by[l] = make(map[string]func() (*template.Template, error))
		for _, file := range names {
			name := strings.TrimSuffix(path.Base(file), ".html")
			if strings.HasPrefix(name, "_") {
				continue
			}
			p.by[l][name] = sync.OnceValues(func() (*template.Template, error) {
				return template.New("_layout.html").Funcs(functions(t, a, l)).ParseFS(pageFiles, "pages/_*.html", file)
			})
		}
	}
	return p, nil
}

// page returns a page's template in a language.
func (p *pages) page(l locale.Lang, name string) (*template.Template, error) {
	parse, ok := p.by[l][name]
	if !ok {
		return nil, fmt.Errorf("web: no page %q", name)
	}
	made, err := parse()
	if err != nil {
		return nil, fmt.Errorf("web: page %q: %w", name, err)
	}
	return made, nil
}

// functions are what templates of one language may call.
func functions(t *texts, a *assets, l locale.Lang) template.FuncMap {
	return template.FuncMap{
		"t":         func(key string, pairs ...string) string { return t.In(l, key, pairs...) },
		"n":         func(key string, n int) string { return t.Count(l, key, n) },
		"has":       func(key string) bool { return t.Has(l, key) },
		"date":      func(at time.Time) string { return t.date(l, at) },
		"day":       func(at time.Time) string { return t.dayOfMonth(l, at) },
		"size":      func(bytes int64) string { return t.size(l, bytes) },
		"country":   func(code string) string { return t.Country(l, code) },
		"local":     func(text vpn.Text) string { return text.In(string(l)) },
		"flag":      countryFlag,
		"isUnknown": func(country string) bool { return country == vpn.UnknownCountry },
		"asset":     a.path,
		"isoDay":    func(at time.Time) string { return at.Format(time.DateOnly) },
		"among":     slices.Contains[[]string],
		"list":      func(words ...string) []string { return words },
		"lower":     strings.ToLower,
		"int":       func(n int64) int { return int(n) },
		"clock":     func(at time.Time) string { return at.UTC().Format("15:04:05") },
		"ago":       func(at, now time.Time) string { return t.ago(l, at, now) },
		"samples":   func(o *operation, base string) []sample { return o.samples(base) },
		"once":      onceToken,
		"text":      func(v any) string { return fmt.Sprint(v) },
		"dialog": func(id, title, text, action, button string) dialog {
			return dialog{ID: id, Title: title, Text: text, Action: action, Button: button}
		},
	}
}

// dialog asks before something is done that cannot be undone.
type dialog struct{ ID, Title, Text, Action, Button string }

// countryFlag is the emoji of a country: its code in regional indicator symbols.
func countryFlag(code string) string {
	if len(code) != 2 || code == vpn.UnknownCountry {
		return "🌐"
	}
	const regionalA = '🇦'
	var b strings.Builder
	for _, letter := range strings.ToUpper(code) {
		b.WriteRune(regionalA + letter - 'A')
	}
	return b.String()
}

// view is what every template gets.
type view struct {
	// Brand is what the service calls itself.
	Brand  string
	Lang   locale.Lang
	Theme  string
	Themes []string
	// Script is the bundle in the visitor's language.
	Script string
	// Path is the page's own, to come back to.
	Path string
	// Section is the entry of the menu that the page belongs to.
	Section string
	User    *vpn.User // nil without a session
	// Menu are the pages of the dashboard, or of the console where IsConsole.
	Menu      []string
	IsConsole bool
	// Done is the key of a message about what was just done, "" = nothing.
	Done string
	Page string
	Data any
}

// render writes a page.
func (p *pages) render(w io.Writer, name string, v *visit, data any) error {
	made, err := p.page(v.lang, name)
	if err != nil {
		return err
	}
	shown := view{
		Brand: v.site.service.Settings(v.r.Context()).Brand,
		Lang:  v.lang, Theme: v.theme, Themes: themes, Script: "app." + string(v.lang) + ".js", Path: v.r.URL.Path,
		Section: section(v.r.URL.Path), Page: name, Data: data,
	}
	if v.r.Method == http.MethodPost && shown.Section != shown.Path || formsOfSettings[shown.Path] {
		shown.Path = shown.Section // there is no page of the form's own
	}
	if v.actor != nil {
		shown.User = &v.actor.User
		shown.Menu, shown.IsConsole = accountMenu, operates(shown.User) && isConsole(v.r.URL.Path)
		if shown.IsConsole {
			shown.Menu = menuFor(shown.User)
		}
	}
	if done := "done." + v.r.URL.Query().Get("done"); p.texts.Has(v.lang, done) {
		shown.Done = done
	}
	if err := made.Execute(w, shown); err != nil {
		return fmt.Errorf("web: page %q: %w", name, err)
	}
	return nil
}

// accountMenu are the pages of the dashboard.
var accountMenu = []string{"/account", "/account/connect", "/account/devices", "/account/servers", "/account/tokens", "/account/settings"}

// formsOfSettings are forms of the settings' page that go elsewhere.
var formsOfSettings = map[string]bool{"/account/password": true, "/account/signout": true, "/account/erase": true}

// section is the entry of the menu that a path belongs to.
func section(path string) string {
	if strings.HasPrefix(path, "/admin/jobs") {
		return "/admin/users"
	}
	if strings.HasPrefix(path, "/admin/config") {
		return "/admin/servers"
	}
	if path == "/account/voucher" {
		return "/account"
	}
	if formsOfSettings[path] || strings.HasPrefix(path, factorPath) || strings.HasPrefix(path, passkeysPath) {
		return "/account/settings"
	}
	words := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 3)
	if len(words) > 1 && (words[0] == "account" || words[0] == "admin") {
		return "/" + words[0] + "/" + words[1]
	}
	return path
}
