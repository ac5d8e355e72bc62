package courier

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stile/vpn"
)

func loaded(t *testing.T) *letters {
	t.Helper()
	l, err := newLetters()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Both languages say the same things and have the same places to fill.
func TestLanguagesAreWhole(t *testing.T) {
	l := loaded(t)
	if ru, en := slices.Sorted(maps.Keys(l.texts["ru"])), slices.Sorted(maps.Keys(l.texts["en"])); !slices.Equal(ru, en) {
		t.Fatalf("keys differ:\n%v\n%v", ru, en)
	}
	places := regexp.MustCompile(`:[a-z]+`)
	for key, text := range l.texts["ru"] {
		if key == "date" {
			continue
		}
		ru, en := places.FindAllString(text, -1), places.FindAllString(l.texts["en"][key], -1)
		slices.Sort(ru)
		slices.Sort(en)
		if !slices.Equal(ru, en) {
			t.Errorf("%s: %v in Russian, %v in English", key, ru, en)
		}
	}
}

func TestPlurals(t *testing.T) {
	l := loaded(t)
	for n, want := range map[int][2]string{
		1:  {"Подписка закончится через 1 день", "Your subscription ends in 1 day"},
		2:  {"Подписка закончится через 2 дня", "Your subscription ends in 2 days"},
		5:  {"Подписка закончится через 5 дней", "Your subscription ends in 5 days"},
		11: {"Подписка закончится через 11 дней", "Your subscription ends in 11 days"},
		21: {"Подписка закончится через 21 день", "Your subscription ends in 21 days"},
	} {
		for i, lang := range []string{"ru", "en"} {
			if got := l.count(lang, "subscription.week_left.subject", n); got != want[i] {
				t.Errorf("%d: %q, want %q", n, got, want[i])
			}
		}
	}
	for n, want := range map[int]string{1: "ещё 1 день.", 2: "ещё 2 дня.", 5: "ещё 5 дней.", 11: "ещё 11 дней.", 21: "ещё 21 день."} {
		if got := l.count("ru", "subscription.expired.grace", n); !strings.HasSuffix(got, want) {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	l := loaded(t)
	for bytes, want := range map[int64][2]string{
		0: {"0 МБ", "0 MB"}, 1_500_000: {"1,5 МБ", "1.5 MB"}, 850_000_000: {"850 МБ", "850 MB"},
		1_000_000_000: {"1 ГБ", "1 GB"}, 2_540_000_000: {"2,5 ГБ", "2.5 GB"}, 1_000_000_000_000: {"1000 ГБ", "1000 GB"},
	} {
		for i, lang := range []string{"ru", "en"} {
			if got := l.size(lang, bytes); got != want[i] {
				t.Errorf("%d: %q, want %q", bytes, got, want[i])
			}
		}
	}
}

// No event of mail lacks a text, no place stays open, and what users write of themselves does not become markup.
func TestEveryNoticeIsFilled(t *testing.T) {
	l, now := loaded(t), time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{vpn.EventWeekLeft, vpn.EventDayLeft, vpn.EventExpired, vpn.EventTraffic80, vpn.EventTraffic100} {
		for _, locale := range []string{"ru", "en", ""} {
			e := &vpn.Event{
				Delivery: vpn.Delivery{Event: name}, User: &vpn.User{Email: "a@example.com", Locale: locale}, Now: now, Status: vpn.SubscriptionGrace,
				Entitlement: vpn.Entitlement{
					Subscription: vpn.Subscription{ExpiresAt: now.Add(time.Hour)}, Plan: vpn.Plan{ID: 1, Name: vpn.Text{RU: "<b>:date</b>"}, GraceDays: 3},
				},
				Traffic: vpn.Traffic{Used: 9e8, Limit: 1e9, ResetsAt: now},
			}
			m := l.notice(e, vpn.Links{Renew: "https://example.net/?a=1&b=2", Support: "help@example.net"}, "https://example.net/off")
			if m.Subject == "" || strings.Contains(m.Subject, ":") || strings.Contains(m.HTML, "<b>") || strings.Contains(m.HTML, "a=1&b") {
				t.Errorf("%s %s: %q\n%s", name, locale, m.Subject, m.HTML)
			}
			if open := regexp.MustCompile(`:(plan|count|used|limit|percent|reset|support|size)`).FindString(m.Text + m.HTML); open != "" {
				t.Errorf("%s %s: %s stays open", name, locale, open)
			}
		}
	}
}

// No letter and no warning lacks a text or a link, and the brand does not become markup.
func TestEveryLetterIsFilled(t *testing.T) {
	l := loaded(t)
	s := &vpn.Settings{Brand: "<b>:support</b>", Links: vpn.Links{Support: "https://example.net/help"}}
	for _, lang := range []string{"ru", "en"} {
		for kind, path := range map[vpn.LetterKind]string{
			vpn.LetterReset: "/reset/abc", vpn.LetterSignUp: "/sign-up/confirm/abc", vpn.LetterTaken: "/signin",
		} {
			w := vpn.Letter{Kind: kind, To: "a@example.com", Locale: lang}
			if kind != vpn.LetterTaken {
				w.Token = "abc"
			}
			m := l.letter(&w, s, "https://vpn.example.net")
			if m.Subject == "" || m.RefuseURL != "" || strings.Contains(m.HTML, "<b>") || !strings.Contains(m.Text, ": https://vpn.example.net"+path+"\n") ||
				strings.Count(m.Text, "\n\n") != 3 {
				t.Errorf("%s %s: %q\n%s\n%s", kind, lang, m.Subject, m.Text, m.HTML)
			}
		}
		for _, event := range []string{"user.second_factor_reset", "user.passkeys_reset", "user.passkey_add"} {
			if !vpn.IsWarning(event) {
				t.Errorf("%s can be refused", event)
			}
			m := l.warning(&vpn.Event{Delivery: vpn.Delivery{Event: event, At: time.Unix(1_790_000_000, 0)}, User: &vpn.User{Email: "a@example.com", Locale: lang}}, s)
			if m.Subject == "" || m.RefuseURL != "" || strings.Contains(m.HTML, "<b>") || !strings.Contains(m.Text, "2026") || !strings.Contains(m.Text, "help") {
				t.Errorf("%s %s: %q\n%s", event, lang, m.Subject, m.Text)
			}
		}
	}
}
