package courier_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"stile/courier"
	"stile/vpn"
)

// post office of the tests: an SMTP server that others wrote, which keeps what it is given.
type postOffice struct {
	address string
	mu      sync.Mutex
	mails   []mailGot
	// refuse is the answer to a recipient; nil = it is taken.
	refuse func() error
	isTLS  []bool
	users  []string
}

type mailGot struct {
	from, to string
	raw      string
}

// deliver starts a server; certificate nil = without TLS.
func deliver(t *testing.T, certificate *tls.Certificate) *postOffice {
	t.Helper()
	p := &postOffice{}
	server := smtp.NewServer(p)
	server.Domain, server.AllowInsecureAuth = "mail.example.net", false
	server.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(t.Output(), nil), slog.LevelDebug)
	if certificate != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	p.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return p
}

// NewSession implements smtp.Backend.
func (p *postOffice) NewSession(c *smtp.Conn) (smtp.Session, error) {
	_, isTLS := c.TLSConnectionState()
	return &smtpSession{office: p, isTLS: isTLS}, nil
}

type smtpSession struct {
	office *postOffice
	isTLS  bool
	user   string
	got    mailGot
}

func (s *smtpSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "stile" || password != "pass word/1" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	s.got.from = from
	return nil
}

func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	if s.office.refuse != nil {
		if err := s.office.refuse(); err != nil {
			return err
		}
	}
	s.got.to = to
	return nil
}

func (s *smtpSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	s.got.raw = string(raw)
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.mails = append(s.office.mails, s.got)
	s.office.isTLS, s.office.users = append(s.office.isTLS, s.isTLS), append(s.office.users, s.user)
	return err
}

func (s *smtpSession) Reset()        { s.got = mailGot{} }
func (s *smtpSession) Logout() error { return nil }

// got are the mails so far.
func (p *postOffice) got() []mailGot {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.mails)
}

// letter is a mail as its reader's program sees it.
type letter struct {
	head       netmail.Header
	subject    string
	text, html string
}

// read parses a mail by the standard library's rules.
func read(t *testing.T, raw string) letter {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(raw))
	ok(t, err)
	l := letter{head: m.Header}
	l.subject, err = new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	ok(t, err)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	ok(t, err)
	if kind != "multipart/alternative" {
		t.Fatalf("the mail is %s", kind)
	}
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return l
		}
		ok(t, err)
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		content, err := io.ReadAll(body)
		ok(t, err)
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		switch kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type")); {
		case err != nil || !strings.EqualFold(params["charset"], "utf-8"):
			t.Fatalf("a part is %s", part.Header.Get("Content-Type"))
		case kind == "text/plain" && l.html == "": // the plainest first (RFC 2046, 5.1.4)
			l.text = text
		case kind == "text/html":
			l.html = text
		}
	}
}

func mailer(t *testing.T, url string, roots *x509.CertPool) vpn.Mailer {
	t.Helper()
	c := courier.SMTPConfig{URL: url, From: "Мой VPN <vpn@example.net>"}
	if roots != nil {
		c.TLS = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}
	m, err := courier.NewSMTP(c)
	ok(t, err)
	return m
}

// subscribe gives a user a plan of 30 days with 3 of grace and 1,000 MB.
func (o *office) subscribe(u vpn.User) {
	o.t.Helper()
	plan := vpn.Plan{Code: "standard", Name: vpn.Text{RU: "Стандарт", EN: "Standard"}, PeriodDays: 30, GraceDays: 3, DeviceLimit: 5, TrafficLimit: 1e9}
	_, err := o.AddPlan(o.t.Context(), shell, plan)
	if vpn.CodeOf(err) != vpn.CodeConflict {
		ok(o.t, err)
	}
	_, err = o.Subscribe(o.t.Context(), shell, u.ID, "standard", 1)
	ok(o.t, err)
}

// notice looks for what there is to tell.
func (o *office) notice() {
	o.t.Helper()
	ok(o.t, o.NoticeNow(o.t.Context()))
}

// A subscription's end is told a week before, a day before and then, in the user's language, each once.
func TestNoticesOfTheEnd(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	p := deliver(t, nil)
	o := open(t, sqlite(t), mailer(t, "smtp://"+p.address, nil))
	o.notice()
	ivan := o.user("ivan@example.com")
	john, err := o.AddUser(t.Context(), shell, vpn.NewAccount{Email: "john@example.com", Password: "password123", Locale: "en"})
	ok(t, err)
	o.subscribe(ivan)
	o.subscribe(john)
	for i, step := range []time.Duration{22 * day, day + time.Minute, 6 * day, day, time.Hour} {
		o.clock.forward(step)
		o.notice()
		o.notice()
		want := []int{0, 2, 4, 6, 6}[i]
		o.until("the mails", func() bool { return len(p.got()) >= want })
	}
	time.Sleep(1200 * time.Millisecond)
	got := p.got()
	if len(got) != 6 {
		t.Fatalf("%d mails", len(got))
	}
	var subjects []string
	for _, m := range got {
		l := read(t, m.raw)
		subjects = append(subjects, m.to+": "+l.subject)
		if m.from != "vpn@example.net" || l.head.Get("To") != "<"+m.to+">" || l.head.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("head: %v", l.head)
		}
		if from, err := new(mime.WordDecoder).DecodeHeader(l.head.Get("From")); err != nil || !strings.Contains(from, "Мой VPN") {
			t.Errorf("from: %q, %v", from, err)
		}
		if _, err := l.head.Date(); err != nil {
			t.Errorf("date: %v", err)
		}
		unsubscribe := strings.Trim(l.head.Get("List-Unsubscribe"), "<>")
		if !strings.HasPrefix(unsubscribe, "https://vpn.example.net/mail/off/") || l.head.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
			t.Errorf("unsubscribe: %v", l.head)
		}
		for _, part := range []string{l.text, l.html} {
			if !strings.Contains(part, "https://vpn.example.net/account") || !strings.Contains(part, unsubscribe) || !strings.Contains(part, "help@example.net") {
				t.Errorf("a part lacks a link:\n%s", part)
			}
		}
	}
	slices.Sort(subjects)
	want := []string{
		"ivan@example.com: Подписка закончилась", "ivan@example.com: Подписка закончится через 1 день", "ivan@example.com: Подписка закончится через 7 дней",
		"john@example.com: Your subscription ends in 1 day", "john@example.com: Your subscription ends in 7 days", "john@example.com: Your subscription has ended",
	}
	if !slices.Equal(subjects, want) {
		t.Errorf("subjects: %q", subjects)
	}
	for _, m := range got {
		if l := read(t, m.raw); l.subject == "Подписка закончилась" && !strings.Contains(l.text, "ещё 3 дня") {
			t.Errorf("text:\n%s", l.text)
		}
	}
}

// Who refuses gets none, by the link of a mail; the page asks first.
func TestNoticesCanBeRefused(t *testing.T) {
	t.Parallel()
	p := deliver(t, nil)
	o := open(t, sqlite(t), mailer(t, "smtp://"+p.address, nil))
	o.notice()
	u := o.user("ivan@example.com")
	o.subscribe(u)
	page := httptest.NewServer(courier.Refusal(o.RefuseMail, slog.New(slog.DiscardHandler)))
	t.Cleanup(page.Close)
	call := func(method, token string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, page.URL+courier.RefusalPath+token, strings.NewReader("List-Unsubscribe=One-Click"))
		ok(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := http.DefaultClient.Do(r)
		ok(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		ok(t, err)
		return answer.StatusCode, string(body)
	}
	o.clock.forward(23*24*time.Hour + time.Minute)
	o.notice()
	o.until("a mail", func() bool { return len(p.got()) == 1 })
	token := strings.TrimPrefix(strings.Trim(read(t, p.got()[0].raw).head.Get("List-Unsubscribe"), "<>"), "https://vpn.example.net"+courier.RefusalPath)
	wants := func() bool {
		wants, err := o.store.WantsMail(t.Context(), u.ID)
		ok(t, err)
		return wants
	}
	if status, body := call(http.MethodGet, token); status != 200 || !strings.Contains(body, `<form method="post"`) || !wants() {
		t.Errorf("GET: %d, %s", status, body)
	}
	for _, bad := range []string{"", "x", token + "x", `"><script>`, strings.Repeat("A", 5000)} {
		if status, body := call(http.MethodPost, strings.ReplaceAll(bad, `"`, "%22")); status != 404 || strings.Contains(body, "<script>") || !wants() {
			t.Errorf("POST of %q: %d, %s", bad, status, body)
		}
	}
	if _, body := call(http.MethodGet, "%22%3E%3Cscript%3E"); strings.Contains(body, "<script>") {
		t.Errorf("the page holds what was in the address: %s", body)
	}
	if status, _ := call(http.MethodDelete, token); status != 405 {
		t.Errorf("DELETE: %d", status)
	}
	for range 2 {
		if status, _ := call(http.MethodPost, token); status != 200 || wants() {
			t.Errorf("POST: %d", status)
		}
	}
	o.clock.forward(6 * 24 * time.Hour)
	o.notice()
	o.until("it is left out", func() bool { return o.delivery(vpn.MailWebhook).Error == "not wanted" })
	ok(t, o.SetWantsMail(t.Context(), shell, u.ID, true))
	o.clock.forward(24 * time.Hour)
	o.notice()
	o.until("the last mail", func() bool { return len(p.got()) == 2 })
}

// A quota's notices name what is used, and what is no longer true when it could be sent is not sent.
func TestNoticesOfTheQuota(t *testing.T) {
	t.Parallel()
	p := deliver(t, nil)
	o := open(t, sqlite(t), mailer(t, "smtp://"+p.address, nil))
	ctx := t.Context()
	u := o.user("ivan@example.com")
	o.subscribe(u)
	server, err := o.AddServer(ctx, shell, vpn.Server{Name: "s", CountryCode: "NL", Host: "h", ShadowsocksPort: 8388, ShadowsocksPorts: 1})
	ok(t, err)
	in, err := o.SignIn(ctx, vpn.SignIn{Email: u.Email, Password: "password123", ClientID: "c", DeviceName: "n"})
	ok(t, err)
	key, err := o.store.IssueKey(ctx, vpn.NewKey{UserID: u.ID, DeviceID: in.DeviceID, ServerID: server.ID}, vpn.Audit{Action: "key.issue"})
	ok(t, err)
	seq := uint64(0)
	use := func(bytes int64) {
		t.Helper()
		seq++
		_, err := o.RecordUsage(ctx, vpn.UsageReport{NodeID: server.ID, Stream: 1, Seq: seq, Entries: []vpn.UsageEntry{{KeyID: key.ID, Down: bytes}}})
		ok(t, err)
	}
	use(850e6)
	o.until("a mail at 80 %", func() bool { return len(p.got()) == 1 })
	if l := read(t, p.got()[0].raw); l.subject != "Израсходовано 85 % трафика" || !strings.Contains(l.text, "850 МБ из 1 ГБ") {
		t.Errorf("%s\n%s", l.subject, l.text)
	}
	p.mu.Lock()
	p.refuse = func() error { return &smtp.SMTPError{Code: 451, Message: "later"} }
	p.mu.Unlock()
	use(200e6)
	o.until("an attempt", func() bool { d := o.delivery(vpn.MailWebhook); return d.Event == vpn.EventTraffic100 && d.Error != "" })
	plan, err := o.store.PlanByCode(ctx, "standard")
	ok(t, err)
	plan.TrafficLimit = 10e9
	ok(t, o.UpdatePlan(ctx, shell, plan))
	o.clock.forward(10 * time.Second)
	o.until("it is left out", func() bool { return o.delivery(vpn.MailWebhook).Error == "no longer true" })
	if n := len(p.got()); n != 1 {
		t.Errorf("%d mails", n)
	}
}

// A server that is away for a while gets the mail later; one that refuses an address for good is not asked again.
func TestMailIsRetried(t *testing.T) {
	t.Parallel()
	p := deliver(t, nil)
	o := open(t, sqlite(t), mailer(t, "smtp://"+p.address, nil))
	o.notice()
	refusal := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later, ivan@example.com"}
	var answer error = refusal
	p.refuse = func() error { return answer }
	o.subscribe(o.user("ivan@example.com"))
	o.clock.forward(23*24*time.Hour + time.Minute)
	o.notice()
	o.until("an attempt", func() bool { return o.delivery(vpn.MailWebhook).Error != "" })
	if d := o.delivery(vpn.MailWebhook); !d.EndedAt.IsZero() || !strings.Contains(d.Error, "451") || strings.Contains(d.Error, "ivan") {
		t.Errorf("given up, or it names the user: %+v", d)
	}
	p.mu.Lock()
	answer = nil
	p.mu.Unlock()
	o.clock.forward(10 * time.Second)
	o.until("the mail", func() bool { return len(p.got()) == 1 && o.delivery(vpn.MailWebhook).IsDelivered })
	p.mu.Lock()
	answer = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user ivan@example.com"}
	p.mu.Unlock()
	o.clock.forward(6 * 24 * time.Hour)
	o.notice()
	o.until("it is given up", func() bool {
		d := o.delivery(vpn.MailWebhook)
		return d.Event == vpn.EventDayLeft && !d.EndedAt.IsZero()
	})
	if d := o.delivery(vpn.MailWebhook); d.IsDelivered || !strings.Contains(d.Error, "550") || strings.Contains(d.Error, "ivan") {
		t.Errorf("%+v", d)
	}
}

// certificate is a self-signed one for 127.0.0.1.
func certificate(t *testing.T) (*tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ok(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	ok(t, err)
	parsed, err := x509.ParseCertificate(der)
	ok(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// A password is sent over TLS only, to a server whose certificate holds.
func TestMailGoesOverTLS(t *testing.T) {
	t.Parallel()
	cert, roots := certificate(t)
	p := deliver(t, cert)
	m, err := courier.TestMail("user@example.com", "ru")
	ok(t, err)
	ok(t, mailer(t, "smtp://stile:pass%20word%2F1@"+p.address, roots).Send(t.Context(), m))
	if got := p.got(); len(got) != 1 || !p.isTLS[0] || p.users[0] != "stile" || read(t, got[0].raw).text != "Здравствуйте!\n\nПочта работает.\n" {
		t.Errorf("got %+v, TLS %v, users %v", got, p.isTLS, p.users)
	}
	for name, try := range map[string]struct {
		mailer vpn.Mailer
		remedy string
	}{
		"a wrong password":        {mailer(t, "smtp://stile:wrong-password@"+p.address, roots), p.address + ": "},
		"an unknown certificate":  {mailer(t, "smtp://stile:pass%20word%2F1@"+p.address, nil), "as it is in the server's certificate"},
		"a server without TLS":    {mailer(t, "smtps://"+deliver(t, nil).address, nil), "smtp:// is STARTTLS"},
		"a password without TLS":  {mailer(t, "smtp://stile:pass%20word%2F1@"+deliver(t, nil).address, nil), "smtp:// is STARTTLS"},
		"a server that is not up": {mailer(t, "smtp://127.0.0.1:1", nil), "nobody listens there"},
	} {
		err := try.mailer.Send(t.Context(), m)
		if err == nil || strings.Count(err.Error(), try.remedy) != 1 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want %q", name, err, try.remedy)
		}
		if err == nil || errors.Is(err, vpn.ErrMailRejected) || strings.Contains(err.Error(), "wrong-password") || strings.Contains(err.Error(), "pass word") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(p.got()) != 1 {
		t.Errorf("%d mails", len(p.got()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := mailer(t, "smtp://"+p.address, nil).Send(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// A server that takes the connection and then says nothing costs no more than the time of an attempt.
func TestASilentMailServerIsLeft(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	slow := deliver(t, nil)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	slow.refuse = func() error { <-release; return nil }
	m, err := courier.TestMail("user@example.com", "ru")
	ok(t, err)
	for _, address := range []string{listener.Addr().String(), slow.address} {
		ended := make(chan error, 1)
		go func() { ended <- mailer(t, "smtp://"+address, nil).Send(t.Context(), m) }()
		select {
		case err := <-ended:
			if err == nil || errors.Is(err, vpn.ErrMailRejected) {
				t.Errorf("%s: %v", address, err)
			}
		case <-time.After(2 * time.Minute):
			t.Errorf("%s: it waits on", address)
		}
	}
}

func TestSMTPConfig(t *testing.T) {
	for _, c := range []courier.SMTPConfig{
		{URL: "smtp://mail.example.net", From: "nobody"},
		{URL: "", From: "vpn@example.net"}, {URL: "https://secret@mail.example.net", From: "vpn@example.net"},
		{URL: "smtp://user:secret@", From: "vpn@example.net"}, {URL: "smtp://user:secret@host:99999", From: "vpn@example.net"},
		{URL: "smtp://user:secret@host/path", From: "vpn@example.net"}, {URL: "smtp://user:secret@ho st", From: "vpn@example.net"},
	} {
		if _, err := courier.NewSMTP(c); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	m, err := courier.NewSMTP(courier.SMTPConfig{URL: "smtp://127.0.0.1:1", From: "vpn@example.net"})
	ok(t, err)
	if err := m.Send(t.Context(), vpn.Mail{To: "two@example.com, three@example.com", Subject: "s"}); !errors.Is(err, vpn.ErrMailRejected) {
		t.Errorf("two recipients: %v", err)
	}
	if err := m.Send(t.Context(), vpn.Mail{To: "a@example.com\r\nBcc: b@example.com", Subject: "s"}); !errors.Is(err, vpn.ErrMailRejected) {
		t.Errorf("a header in an address: %v", err)
	}
}
