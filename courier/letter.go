package courier

import (
	"embed"
	"encoding/json"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"stile/vpn"
)

//go:embed messages/*.json
var messageFiles embed.FS

// letters are the texts of mails, by language and key. A :word in a text is a place to fill.
type letters struct{ texts map[string]map[string]string }

func newLetters() (*letters, error) {
	l := &letters{texts: make(map[string]map[string]string)}
	for _, lang := range []string{"ru", "en"} {
		raw, err := messageFiles.ReadFile("messages/" + lang + ".json")
		if err != nil {
			return nil, err
		}
		texts := make(map[string]string)
		if err := json.Unmarshal(raw, &texts); err != nil {
			return nil, fmt.Errorf("messages/%s.json: %w", lang, err)
		}
		l.texts[lang] = texts
	}
	return l, nil
}

// langOf is the language of a user's mails.
func langOf(locale string) string {
	if locale == "en" {
		return "en"
	}
	return "ru"
}

// in returns a text with its places filled. One that is not there is "".
func (l *letters) in(lang, key string, places *strings.Replacer) string {
	return places.Replace(l.texts[lang][key])
}

// count returns the form of a text that goes with a number.
func (l *letters) count(lang, key string, n int) string {
	var form string
	switch plural.Cardinal.MatchPlural(language.Make(lang), n, 0, 0, 0, 0) {
	case plural.One:
		form = "one"
	case plural.Few:
		form = "few"
	case plural.Many:
		form = "many"
	default:
		form = "other"
	}
	return l.in(lang, key+"."+form, strings.NewReplacer(":count", strconv.Itoa(n)))
}

// size is an amount of traffic, in 10^9 or 10^6 bytes, as plans are sold.
func (l *letters) size(lang string, bytes int64) string {
	key, n := "size.GB", float64(bytes)/1e9
	if n < 1 {
		key, n = "size.MB", float64(bytes)/1e6
	}
	text := strings.TrimSuffix(strconv.FormatFloat(n, 'f', 1, 64), ".0")
	if lang == "ru" {
		text = strings.Replace(text, ".", ",", 1)
	}
	return l.in(lang, key, strings.NewReplacer(":size", text))
}

func (l *letters) date(lang string, t time.Time) string { return t.UTC().Format(l.texts[lang]["date"]) }

// notice is the mail of an event, to the user whom it concerns.
func (l *letters) notice(e *vpn.Event, links vpn.Links, refuseURL string) vpn.Mail {
	lang, name := langOf(e.User.Locale), e.Delivery.Event
	plan, sub := &e.Entitlement.Plan, &e.Entitlement.Subscription
	percent := 0
	if e.Traffic.Limit > 0 {
		percent = int(float64(e.Traffic.Used) / float64(e.Traffic.Limit) * 100)
	}
	places := strings.NewReplacer(":plan", quoted(lang, plan.Name.In(lang)), ":date", l.date(lang, sub.ExpiresAt),
		":used", l.size(lang, e.Traffic.Used), ":limit", l.size(lang, e.Traffic.Limit), ":percent", strconv.Itoa(percent),
		":reset", l.date(lang, e.Traffic.ResetsAt), ":support", links.Support)
	m := vpn.Mail{To: e.User.Email, Subject: l.in(lang, name+".subject", places), RefuseURL: refuseURL}
	if days, _ := e.Entitlement.DaysLeft(e.Now); m.Subject == "" {
		m.Subject = l.count(lang, name+".subject", days)
	}
	paragraphs := []string{l.texts[lang]["hello"], l.in(lang, name+".text", places)}
	if name == vpn.EventExpired && e.Status == vpn.SubscriptionGrace {
		paragraphs = append(paragraphs, l.count(lang, name+".grace", graceLeft(e)))
	}
	if links.Support != "" {
		paragraphs = append(paragraphs, l.in(lang, "support", places))
	}
	return l.compose(m, lang, paragraphs, action{"renew", links.Renew})
}

// graceLeft is for how many days, rounded up, keys go on working after the expiry.
func graceLeft(e *vpn.Event) int {
	const day = 24 * time.Hour
	left := e.Entitlement.Subscription.ExpiresAt.Add(time.Duration(e.Entitlement.Plan.GraceDays) * day).Sub(e.Now)
	return int((left + day - 1) / day)
}

// quoted puts a plan's name into the quotation marks of the language.
func quoted(lang, name string) string {
	if lang == "ru" {
		return "«" + name + "»"
	}
	return "“" + name + "”"
}

// warning is the mail of an event that is about the safety of the account of whom it concerns.
func (l *letters) warning(e *vpn.Event, s *vpn.Settings) vpn.Mail {
	lang, name := langOf(e.User.Locale), e.Delivery.Event
	places := strings.NewReplacer(":brand", s.Brand, ":support", s.Links.Support, ":date", l.date(lang, e.Delivery.At))
	m := vpn.Mail{To: e.User.Email, Subject: l.in(lang, name+".subject", places)}
	paragraphs := []string{l.texts[lang]["hello"], l.in(lang, name+".text", places), l.texts[lang]["warning"]}
	if s.Links.Support != "" {
		paragraphs = append(paragraphs, l.in(lang, "support", places))
	}
	return l.compose(m, lang, paragraphs, action{})
}

// letterPaths are the pages that the links of letters lead to: web's.
var letterPaths = map[vpn.LetterKind]string{
	vpn.LetterReset: "/reset/", vpn.LetterSignUp: "/sign-up/confirm/", vpn.LetterTaken: "/signin",
}

// letter is a mail that somebody asked for.
func (l *letters) letter(w *vpn.Letter, s *vpn.Settings, publicURL string) vpn.Mail {
	lang, name := langOf(w.Locale), "letter."+string(w.Kind)
	places := strings.NewReplacer(":brand", s.Brand)
	m := vpn.Mail{To: w.To, Subject: l.in(lang, name+".subject", places)}
	paragraphs := []string{l.texts[lang]["hello"], l.in(lang, name+".text", places), l.in(lang, name+".unasked", places)}
	return l.compose(m, lang, paragraphs, action{name + ".link", publicURL + letterPaths[w.Kind] + w.Token})
}

// test is the mail with which an operator sees whether mail works.
func (l *letters) test(to, lang string) vpn.Mail {
	m := vpn.Mail{To: to, Subject: l.texts[lang]["test.subject"]}
	return l.compose(m, lang, []string{l.texts[lang]["hello"], l.texts[lang]["test.text"]}, action{})
}

// action is the link of a mail: the key of its words, and its address, "" = none.
type action struct{ key, url string }

// compose writes the paragraphs as text and as HTML.
func (l *letters) compose(m vpn.Mail, lang string, paragraphs []string, a action) vpn.Mail {
	var text, page strings.Builder
	fmt.Fprintf(&page, `<!doctype html><html lang="%s"><head><meta charset="utf-8"><title>%s</title></head>`+
		`<body style="margin:2em auto;max-width:36em;font:16px/1.5 sans-serif;color:#1b1b1b">`, lang, html.EscapeString(m.Subject))
	for _, p := range paragraphs {
		text.WriteString(p + "\n\n")
		fmt.Fprintf(&page, "<p>%s</p>", html.EscapeString(p))
	}
	link := func(key, style, address string) {
		if address != "" {
			fmt.Fprintf(&text, "%s: %s\n\n", l.texts[lang][key], address)
			fmt.Fprintf(&page, `<p><a style="%s" href="%s">%s</a></p>`, style, html.EscapeString(address), html.EscapeString(l.texts[lang][key]))
		}
	}
	link(a.key, "font-weight:bold", a.url)
	link("refuse", "color:#6b6b6b;font-size:13px", m.RefuseURL)
	page.WriteString("</body></html>\n")
	m.Text, m.HTML = strings.TrimRight(text.String(), "\n")+"\n", page.String()
	return m
}
