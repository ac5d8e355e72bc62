package courier_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"stile/courier"
)

// Whoever waits for a mail server that says nothing can give up.
func TestSendEndsWithItsContext(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	mailer, err := courier.NewSMTP(courier.SMTPConfig{URL: "smtp://" + listener.Addr().String(), From: "vpn@example.net"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := courier.TestMail("user@example.com", "en")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			cancel()
			_, _ = conn.Read(make([]byte, 1)) // until the sender gives up
		}
	}()
	began := time.Now()
	if err := mailer.Send(ctx, m); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took > 15*time.Second { // the server's time would be 20
		t.Errorf("it took %v", took)
	}
}
