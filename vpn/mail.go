package vpn

import (
	"context"
	"errors"
)

// ErrMailRejected is wrapped by Mailer.Send when the server refuses this mail for good.
var ErrMailRejected = errors.New("the mail was rejected")

// Mail is a message to one person.
type Mail struct {
	// From is the sender, as Settings.MailFrom; "" = the mailer's own.
	From    string
	To      string
	Subject string
	// Text and HTML say the same.
	Text string
	HTML string
	// RefuseURL is a page where the person can end such mails; "" for a mail that was asked for.
	RefuseURL string
}

// Mailer is the port to a mail server.
type Mailer interface {
	// Send hands a mail over and returns when the server has taken it. ErrMailRejected when another try is of no use.
	Send(ctx context.Context, m Mail) error
}
