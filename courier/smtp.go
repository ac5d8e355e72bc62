package courier

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wneessen/go-mail"

	"stile/vpn"
)

// SMTPConfig says which mail server to use.
type SMTPConfig struct {
	// URL is smtps://user:password@host:port, with TLS from the start (port 465), or smtp:// with STARTTLS (port 587), which
	// is refused to be left out unless the host is this machine.
	URL string
	// From is the sender of mails that name none: an address, or a name with one: VPN <vpn@example.net>; "" = such mails are
	// not sent.
	From string
	// TLS defaults to the system's roots.
	TLS *tls.Config
}

// smtpTimeout bounds the connecting to a mail server, and then all that is said there: some think long about a mail.
const smtpTimeout = 20 * time.Second

// SMTP is a vpn.Mailer on a mail server. Each mail has a connection of its own.
type SMTP struct {
	host    string
	port    int
	options []mail.Option
	from    string
}

var _ vpn.Mailer = (*SMTP)(nil)

// NewSMTP checks a configuration. Its errors never hold the URL, which may have a password.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	if _, err := netmail.ParseAddress(c.From); c.From != "" && err != nil {
		return nil, fmt.Errorf("--mail-from %q: want an address such as vpn@example.net or VPN <vpn@example.net>", c.From)
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return nil, errors.New("--smtp-url: want smtps://USER:PASSWORD@HOST or smtp://… (STARTTLS), with special characters escaped as in any URL")
	}
	port := 587
	options := []mail.Option{mail.WithTimeout(smtpTimeout)}
	if u.Scheme == "smtps" {
		port, options = 465, append(options, mail.WithSSL())
	} else if isLoopback(u.Hostname()) {
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	} else {
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if text := u.Port(); text != "" {
		if port, err = strconv.Atoi(text); err != nil || port < 1 || port > 65_535 {
			return nil, errors.New("--smtp-url: want a port from 1 to 65535")
		}
	}
	options = append(options, mail.WithPort(port))
	if u.User != nil {
		password, _ := u.User.Password()
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	if c.TLS != nil {
		options = append(options, mail.WithTLSConfig(c.TLS))
	}
	return &SMTP{host: u.Hostname(), port: port, options: options, from: c.From}, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}

// Send implements vpn.Mailer. When ctx ends it returns at once, and whether the server took the mail is not known.
func (s *SMTP) Send(ctx context.Context, m vpn.Mail) error {
	from, err := netmail.ParseAddress(cmp.Or(m.From, s.from))
	if err != nil { // the operator's to put right
		return errors.New("courier: smtp: no sender: set it with --mail-from or in the settings")
	}
	message, err := s.message(from, m)
	if err != nil {
		return fmt.Errorf("%w: %w", vpn.ErrMailRejected, err)
	}
	client, err := mail.NewClient(s.host, s.options...)
	if err != nil {
		return fmt.Errorf("courier: smtp: %w", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- client.DialAndSendWithContext(ctx, message) }() // the library hears of ctx only until it is connected
	select {
	case err = <-sent:
	case <-ctx.Done():
		err = ctx.Err()
	}
	refusal, isRefusal := errors.AsType[*mail.SendError](err)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("courier: smtp: %w", ctx.Err())
	case !isRefusal:
		return fmt.Errorf("courier: smtp: %s: %w: %s", net.JoinHostPort(s.host, strconv.Itoa(s.port)), err, remedy(err))
	case refusal.ErrorCode() >= 500 && refusal.Reason != mail.ErrSMTPMailFrom: // the sender is the operator's to put right
		err = vpn.ErrMailRejected
	default:
		err = errors.New("courier: smtp")
	}
	return fmt.Errorf("%w: %s: status %d", err, refusal.Reason, refusal.ErrorCode()) // the server's words may name the user
}

// remedy is what can be done where a mail server was not reached, or not talked into taking a mail.
func remedy(err error) string {
	reply, isReply := errors.AsType[*textproto.Error](err)
	_, isUntrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, isUnknown := errors.AsType[*net.DNSError](err)
	switch {
	case isUnknown:
		return "correct the host in --smtp-url"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nobody listens there: correct host and port in --smtp-url, or start the mail server"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return "no answer: correct host and port in --smtp-url; many networks drop what is sent to port 25"
	case isUntrusted:
		return "name the host in --smtp-url as it is in the server's certificate, which an authority known to this machine must have signed"
	case isReply && reply.Code >= 534 && reply.Code <= 535:
		return "correct user and password in --smtp-url, and escape special characters as in any URL"
	default:
		return "does the server speak what --smtp-url says? smtps:// is TLS from the start (port 465), smtp:// is STARTTLS (port 587)"
	}
}

// message writes a mail as RFC 5322 and MIME have it: the text, and the same as HTML.
func (s *SMTP) message(from *netmail.Address, m vpn.Mail) (*mail.Msg, error) {
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	message.FromMailAddress(from)
	if err := message.To(m.To); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	message.SetMessageIDWithValue(messageID(domain))
	message.SetDate()
	message.Subject(m.Subject)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office answers
	if strings.HasPrefix(m.RefuseURL, "https://") {
		if err := message.SetListUnsubscribeOneClick(m.RefuseURL); err != nil {
			return nil, err
		}
	} else if m.RefuseURL != "" {
		message.SetListUnsubscribe(m.RefuseURL)
	}
	message.SetBodyString(mail.TypeTextPlain, m.Text)
	message.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	return message, nil
}

// messageID is new for each mail, and says nothing of this machine.
func messageID(domain string) string { return strings.ToLower(rand.Text()) + "@" + domain }
