package planetest

import (
	"context"
	"net"
	"time"

	"stile/dataplane"
)

func rateLimit(b *bench) {
	const rate = 256 << 10
	flood := b.serve("127.0.0.1", echoThenFlood)
	key := b.key()
	key.Limits.DownBytesPerSecond = rate
	b.put(key)
	from := time.Now()
	first, second := b.open(key, flood.addr()), b.open(key, flood.addr())
	defer first.Close()
	defer second.Close()
	go func() { _ = drain(first) }()
	go func() { _ = drain(second) }()
	time.Sleep(4 * silence)
	used := float64(b.usage(key).Down)
	// A burst, and one read of each session that is still to be paid for. A slow machine only makes it less.
	most := rate*time.Since(from).Seconds() + 3*dataplane.BufferSize
	if used > most {
		b.Errorf("two sessions of a key limited to %d bytes/s received %.0f, more than %.0f", rate, used, most)
	}
	key.Limits.DownBytesPerSecond = 0
	b.put(key)
	b.eventually("a lifted limit is felt", func() bool { return float64(b.usage(key).Down) > used+32*rate })
}

func privateTargets(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	private := b.serve("127.0.0.2", echoBack)
	key := b.key()
	b.put(key)
	for _, open := range []string{target.addr(), target.at("allowed.test"), target.at("mixed.test")} {
		_ = b.open(key, open).Close()
	}
	for _, closed := range []string{
		private.addr(), private.at("private.test"), private.at("::ffff:127.0.0.2"), private.at("64:ff9b::7f00:2"),
		private.at("::127.0.0.2"), private.at("0.0.0.0"), private.at("::1"), private.at("unknown.test"), "127.0.0.1:25",
	} {
		b.refused(key, closed)
	}
	if n := private.accepted.Load(); n != 0 {
		b.Errorf("a private target was reached %d times", n)
	}
	b.eventually("refused streams leave no session", func() bool { return b.usage(key).Sessions == 0 })
}

func applyIsIdempotent(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	first, second := b.key(), b.key()
	b.apply([]dataplane.Key{first, second}, nil, true)
	ofFirst, ofSecond := b.open(first, target.addr()), b.open(second, target.addr())
	defer ofFirst.Close()
	defer ofSecond.Close()
	for _, full := range []bool{true, false, true} {
		if ended := b.apply([]dataplane.Key{second, first}, nil, full); ended != 0 {
			b.Errorf("the same set again ended %d sessions", ended)
		}
	}
	b.apply(nil, []int64{99}, false)
	for _, conn := range []net.Conn{ofFirst, ofSecond} {
		if err := echo(conn, "still here"); err != nil {
			b.Errorf("a stream broke though its key stayed: %v", err)
		}
	}
	if ended := b.apply([]dataplane.Key{second}, nil, true); ended != 1 {
		b.Errorf("a full set without the first key ended %d sessions, want 1", ended)
	}
	if err := drain(ofFirst); isTimeout(err) {
		b.Error("a key that a full set leaves out kept its stream")
	}
	b.refused(first, target.addr())
	_ = b.open(second, target.addr()).Close()
	if ended := b.apply(nil, nil, true); ended < 1 {
		b.Errorf("an empty full set ended %d sessions", ended)
	}
	b.refused(second, target.addr())
}

func closeDrains(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	key := b.key()
	b.put(key)
	conn := b.open(key, target.addr())
	closed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	go func() { closed <- b.Plane.Close(ctx) }()
	b.eventually("a closing plane refuses streams", func() bool {
		more, err := b.tryOpen(key, target.addr(), silence)
		if err == nil {
			_ = more.Close()
		}
		return err != nil
	})
	if err := echo(conn, "still here"); err != nil {
		b.Errorf("a stream broke while the plane was draining: %v", err)
	}
	select {
	case err := <-closed:
		b.Fatalf("Close returned %v with a stream open", err)
	default:
	}
	_ = conn.Close()
	if err := <-closed; err != nil {
		b.Errorf("Close after the last stream: %v", err)
	}
	if err := b.Plane.Close(b.ctx); err != nil {
		b.Errorf("a second Close: %v", err)
	}
}

func closeCuts(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	key := b.key()
	b.put(key)
	conn := b.open(key, target.addr())
	defer conn.Close()
	ctx, cancel := context.WithTimeout(b.ctx, silence/5)
	defer cancel()
	if err := b.Plane.Close(ctx); err == nil {
		b.Error("Close had to cut a stream and says nothing")
	}
	if err := drain(conn); isTimeout(err) {
		b.Error("a stream outlived Close")
	}
	if u := b.usage(key); u.Sessions != 0 {
		b.Errorf("%d sessions are left after Close", u.Sessions)
	}
}

func contextCuts(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	key := b.key()
	b.put(key)
	conn := b.open(key, target.addr())
	defer conn.Close()
	b.stop()
	if err := drain(conn); isTimeout(err) {
		b.Error("a stream outlived the plane's context")
	}
}
