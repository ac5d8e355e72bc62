package web

import (
	"net/http"
	"strconv"
	"strings"

	"stile/vpn"
)

// webhooksPage lists webhooks.
type webhooksPage struct {
	Webhooks []vpn.Webhook
	Form     webhookForm
}

// webhookForm is a webhook as it is typed; At is where it goes.
type webhookForm struct {
	At, URL string
	// Nouns are what can be chosen as a whole; Events are patterns of single events, parted by blanks.
	Nouns   []nounChoice
	Events  string
	Problem problem
}

// nounChoice is all events of a noun, "*" for those of all.
type nounChoice struct {
	Name     string
	IsChosen bool
}

// webhookFormOf is a form with these patterns.
func webhookFormOf(at, url string, patterns []string) webhookForm {
	f := webhookForm{At: at, URL: url}
	chosen, rest := map[string]bool{}, []string{}
	for _, p := range patterns {
		noun, isWhole := strings.CutSuffix(p, ".*")
		if p == "*" {
			noun, isWhole = "*", true
		}
		if isWhole {
			chosen[noun] = true
		} else {
			rest = append(rest, p)
		}
	}
	for _, noun := range append([]string{"*"}, vpn.EventNouns()...) {
		f.Nouns = append(f.Nouns, nounChoice{noun, chosen[noun]})
	}
	f.Events = strings.Join(rest, " ")
	return f
}

// webhookForm reads the form and the patterns that are in it.
func (v *visit) webhookForm(at string) (webhookForm, []string) {
	patterns := strings.Fields(strings.ReplaceAll(v.form("events"), ",", " "))
	for _, noun := range v.r.PostForm["noun"] { // v.form has parsed it
		if noun != "*" {
			noun += ".*"
		}
		patterns = append(patterns, noun)
	}
	return webhookFormOf(at, v.form("url"), patterns), patterns
}

func (s *Site) webhooks(v *visit) error {
	return s.showWebhooks(v, http.StatusOK, webhookFormOf("/admin/webhooks", "", nil))
}

func (s *Site) showWebhooks(v *visit, status int, form webhookForm) error {
	all, err := s.service.Webhooks(v.r.Context(), v.actor)
	if err != nil {
		return err
	}
	return v.page(status, "webhooks", webhooksPage{Webhooks: all, Form: form})
}

// addWebhook makes a webhook and shows its secret once.
func (s *Site) addWebhook(v *visit) error {
	form, patterns := v.webhookForm("/admin/webhooks")
	w, secret, err := s.service.AddWebhook(v.r.Context(), v.actor, form.URL, patterns)
	if err != nil {
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showWebhooks(v, status, form)
		})
	}
	return s.showWebhook(v, http.StatusCreated, w.ID, webhookPage{Secret: secret})
}

// webhookPage is one webhook with what was sent to it.
type webhookPage struct {
	vpn.Webhook
	// Secret is shown this once.
	Secret     string
	Form       webhookForm
	Deliveries []vpn.Delivery
	// Before is where the deliveries begin, Next where the following page does; 0 = at the newest, and none.
	Before, Next int64
}

func (s *Site) webhook(v *visit) error {
	return s.showWebhook(v, http.StatusOK, v.pathID("id"), webhookPage{})
}

func (s *Site) showWebhook(v *visit, status int, id int64, p webhookPage) error {
	var err error
	if p.Webhook, err = s.service.Webhook(v.r.Context(), v.actor, id); err != nil {
		return err
	}
	p.Before, _ = strconv.ParseInt(v.r.URL.Query().Get("before"), 10, 64)
	p.Before = max(0, p.Before)
	if p.Deliveries, err = s.service.Deliveries(v.r.Context(), v.actor, id, p.Before, pageRows+1); err != nil {
		return err
	}
	if len(p.Deliveries) > pageRows {
		p.Deliveries = p.Deliveries[:pageRows]
		p.Next = p.Deliveries[pageRows-1].ID
	}
	if p.Form.At == "" {
		p.Form = webhookFormOf("/admin/webhooks/"+number(id), p.URL, p.Events)
	}
	return v.page(status, "webhook", &p)
}

// updateWebhook replaces a webhook's address and events.
func (s *Site) updateWebhook(v *visit) error {
	id := v.pathID("id")
	form, patterns := v.webhookForm("/admin/webhooks/" + number(id))
	return s.changeWebhook(v, id, &form, func(w *vpn.Webhook) { w.URL, w.Events = form.URL, patterns })
}

// setWebhookState pauses a webhook, or ends that.
func (s *Site) setWebhookState(v *visit) error {
	return s.changeWebhook(v, v.pathID("id"), nil, func(w *vpn.Webhook) { w.IsActive = v.form("state") == "active" })
}

// changeWebhook saves a webhook after a change. form is what is shown again, nil where nothing is typed.
func (s *Site) changeWebhook(v *visit, id int64, form *webhookForm, change func(*vpn.Webhook)) error {
	w, err := s.service.Webhook(v.r.Context(), v.actor, id)
	if err != nil {
		return err
	}
	change(&w)
	err = s.service.SetWebhook(v.r.Context(), v.actor, w)
	switch {
	case err != nil && form == nil:
		return err
	case err != nil:
		return v.retry(err, func(status int, p problem) error {
			form.Problem = p
			return s.showWebhook(v, status, id, webhookPage{Form: *form})
		})
	}
	return v.done("/admin/webhooks/"+number(id), "webhook_saved")
}

func (s *Site) testWebhook(v *visit) error {
	id := v.pathID("id")
	if _, err := s.service.TestWebhook(v.r.Context(), v.actor, id); err != nil {
		return err
	}
	return v.done("/admin/webhooks/"+number(id), "webhook_tested")
}

func (s *Site) redeliver(v *visit) error {
	id := v.pathID("id")
	if _, err := s.service.Webhook(v.r.Context(), v.actor, id); err != nil {
		return err
	}
	if err := s.service.Redeliver(v.r.Context(), v.actor, v.pathID("delivery")); err != nil {
		return err
	}
	return v.done("/admin/webhooks/"+number(id), "redelivered")
}

func (s *Site) removeWebhook(v *visit) error {
	if err := s.service.RemoveWebhook(v.r.Context(), v.actor, v.pathID("id")); err != nil {
		return err
	}
	return v.done("/admin/webhooks", "webhook_removed")
}
