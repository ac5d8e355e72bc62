package courier

import (
	"context"
	"errors"
	"time"

	"stile/vpn"
)

// mailPause follows each notice: so many a second are no burst to any server, and a hundred thousand are out in three hours.
const mailPause = 100 * time.Millisecond

// mail sends a notice to the user whom it concerns, unless it is no longer true or not wanted.
func (c *Courier) mail(ctx context.Context, d *vpn.Delivery) vpn.Attempt {
	e, err := c.cfg.Event(ctx, *d)
	if err != nil {
		c.cfg.Log.Error("an event cannot be read", "delivery", d.ID, "error", err)
		return c.failed(d, 0, "the event could not be read")
	}
	if e.IsStale() {
		return vpn.Attempt{Error: "no longer true"}
	}
	settings := c.cfg.Settings(ctx)
	var m vpn.Mail
	if vpn.IsWarning(d.Event) { // of one's own account: nobody can refuse those
		m = c.letters.warning(e, &settings)
	} else {
		wants, err := c.cfg.Store.WantsMail(ctx, d.UserID)
		if err != nil {
			c.cfg.Log.Error("a user's wish cannot be read", "delivery", d.ID, "error", err)
			return c.failed(d, 0, "the user's wish could not be read")
		}
		if !wants {
			return vpn.Attempt{Error: "not wanted"}
		}
		m = c.letters.notice(e, settings.Links, RefusalURL(c.cfg.PublicURL, c.cfg.Store.MailToken(d.UserID)))
	}
	defer time.Sleep(mailPause)
	m.From = settings.MailFrom
	err = c.cfg.Mailer.Send(ctx, m)
	switch {
	case err == nil:
		return vpn.Attempt{Status: 250, IsDelivered: true}
	case errors.Is(err, vpn.ErrMailRejected):
		return vpn.Attempt{Error: printable(err.Error())}
	}
	c.cfg.Log.Warn("a mail could not be sent", "delivery", d.ID, "attempt", d.Attempts, "error", printable(err.Error()))
	return c.failed(d, 0, err.Error())
}

// Post writes a letter and hands it to the mail server.
func (c *Courier) Post(ctx context.Context, l vpn.Letter) error {
	settings := c.cfg.Settings(ctx)
	m := c.letters.letter(&l, &settings, c.cfg.PublicURL)
	m.From = settings.MailFrom
	return c.cfg.Mailer.Send(ctx, m)
}

// TestMail is a mail with which an operator sees whether mail works, in "ru" or "en".
func TestMail(to, lang string) (vpn.Mail, error) {
	l, err := newLetters()
	if err != nil {
		return vpn.Mail{}, err
	}
	return l.test(to, langOf(lang)), nil
}
