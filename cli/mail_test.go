package cli_test

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// mailServer keeps the mails that it is given.
type mailServer struct {
	address string
	mu      sync.Mutex
	mails   []string
}

func startMailServer(t *testing.T) *mailServer {
	t.Helper()
	m := &mailServer{}
	server := smtp.NewServer(m)
	server.Domain = "mail.example.net"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m.address = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return m
}

// NewSession implements smtp.Backend.
func (m *mailServer) NewSession(*smtp.Conn) (smtp.Session, error) { return &mailSession{m}, nil }

type mailSession struct{ server *mailServer }

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *mailSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (s *mailSession) Reset()                               {}
func (s *mailSession) Logout() error                        { return nil }

func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, string(raw))
	return err
}

// to is how many mails went to an address.
func (m *mailServer) to(address string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mail := range m.mails {
		if strings.Contains(mail, "To: <"+address+">") {
			n++
		}
	}
	return n
}

// Mail is tried from the shell, and the running service tells of an end, unless a user wants no notices.
func TestMailCommands(t *testing.T) {
	server := startMailServer(t)
	flags := []string{"--smtp-url", "smtp://" + server.address, "--mail-from", "VPN <vpn@example.net>"}
	m := newMachine(t, "", flags...)
	if out := m.stile(append([]string{"mail", "test", "you@example.com"}, flags...)...); !strings.Contains(out, "has taken a mail") || server.to("you@example.com") != 1 {
		t.Errorf("mail test: %s", out)
	}
	m.addUser("user@example.com")
	m.addUser("silent@example.com")
	m.stile("mail", "notices", "silent@example.com", "off")
	for _, email := range []string{"silent@example.com", "user@example.com"} {
		m.stile("user", "expire", email, time.Now().UTC().Add(2*time.Second).Format(time.RFC3339))
	}
	for deadline := time.Now().Add(2 * time.Minute); server.to("user@example.com") == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no notice of the end\n%s", m.log)
		}
	}
	if n := server.to("silent@example.com"); n != 0 {
		t.Errorf("%d mails to a user who wants none", n)
	}
	for _, args := range [][]string{
		{"mail", "test", "you@example.com"},
		{"mail", "test", "you@example.com", "--smtp-url", "smtp://" + server.address},
		{"mail", "test", "nobody", flags[0], flags[1], flags[2], flags[3]},
		{"mail", "test", "you@example.com", "--smtp-url", "smtp://user:seekrit@127.0.0.1:1", "--mail-from", "vpn@example.net"},
		{"serve", "--mail-from", "vpn@example.net"},
		{"mail", "notices", "nobody@example.com", "off"},
	} {
		cmd := exec.Command(stileBinary, args...)
		cmd.Env = m.env()
		if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "seekrit") {
			t.Errorf("%v: %v, %s", args, err, out)
		}
	}
}
