package planetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"time"

	"stile/dataplane"
)

func keysComeAndGo(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	first, second := b.key(), b.key()
	b.unreached(first)
	b.put(first)
	conn := b.open(first, target.addr())
	defer conn.Close()
	b.unreached(second)
	b.put(second)
	other := b.open(second, target.addr())
	defer other.Close()
	if err := echo(conn, "still here"); err != nil {
		b.Errorf("the first key's stream broke when the second came: %v", err)
	}
	if ended := b.apply(nil, []int64{first.ID}, false); ended != 1 {
		b.Errorf("removing the first key ended %d sessions, want 1", ended)
	}
	b.unreached(first)
	if err := echo(other, "still here"); err != nil {
		b.Errorf("the second key's stream broke when the first went: %v", err)
	}
}

func bytesAreCounted(b *bench) {
	const size = 3<<20 + 17
	body := make([]byte, size)
	_, _ = rand.Read(body)
	sink := b.serve("127.0.0.1", func(conn net.Conn) {
		echoed, _ := io.ReadAll(io.LimitReader(conn, size))
		_, _ = conn.Write(echoed)
		_, _ = conn.Write([]byte("end"))
		_, _ = io.Copy(io.Discard, conn) // a protocol may have no way to end one direction alone
	})
	key, idle := b.key(), b.key()
	b.put(key, idle)
	conn, err := b.Dial(b.ctx, key, sink.addr())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	go func() { _, _ = conn.Write(body) }()
	got := make([]byte, size+3)
	if _, err := io.ReadFull(conn, got); err != nil {
		b.Fatal(err)
	}
	if !bytes.Equal(got[:size], body) || string(got[size:]) != "end" {
		b.Error("the bytes that came back are not those that were sent")
	}
	if u := b.usage(key); u.Up != size || u.Down != size+3 || u.Sessions != 1 || u.LastTrafficAt.IsZero() {
		b.Errorf("usage %+v, want up %d, down %d, one session", u, size, size+3)
	}
	_ = conn.Close()
	b.eventually("the session ends with the connection", func() bool { return b.usage(key).Sessions == 0 })
	if u := b.usage(key); u.Up != size || u.Down != size+3 {
		b.Errorf("usage after the end %+v, want up %d, down %d", u, size, size+3)
	}
	if u := b.usage(idle); u.Up != 0 || u.Down != 0 || u.Sessions != 0 {
		b.Errorf("a key that was not used has usage %+v", u)
	}
}

func halfClose(b *bench) {
	target := b.serve("127.0.0.1", func(conn net.Conn) {
		all, _ := io.ReadAll(conn) // answers only when the client has finished
		_, _ = conn.Write(bytes.ToUpper(all))
	})
	key := b.key()
	b.put(key)
	conn, err := b.Dial(b.ctx, key, target.addr())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return // the protocol has no half-close to show
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(conn, "question")
	if err := half.CloseWrite(); err != nil {
		b.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || string(answer) != "QUESTION" {
		b.Errorf("after a half-close: %q, %v", answer, err)
	}
}

func revocationEndsSessions(b *bench) {
	flood := b.serve("127.0.0.1", echoThenFlood)
	idle := b.serve("127.0.0.1", echoBack)
	key, other := b.key(), b.key()
	b.put(key, other)
	ofKey := []net.Conn{b.open(key, flood.addr()), b.open(key, flood.addr()), b.open(key, idle.addr())}
	ofOther := []net.Conn{b.open(other, flood.addr()), b.open(other, idle.addr())}
	for _, conn := range append(ofKey, ofOther...) {
		defer conn.Close()
	}
	run(ofKey[0])
	if ended := b.apply(nil, []int64{key.ID}, false); ended != len(ofKey) {
		b.Errorf("revocation ended %d sessions, want %d", ended, len(ofKey))
	}
	for i, conn := range ofKey {
		if err := drain(conn); isTimeout(err) {
			b.Errorf("stream %d of the revoked key is still open", i)
		}
	}
	if n := run(ofOther[0]); n < 4<<20 {
		b.Errorf("the other key's download stopped after %d bytes", n)
	}
	if err := echo(ofOther[1], "still here"); err != nil {
		b.Errorf("the other key's idle stream broke: %v", err)
	}
	if u := b.usage(key); u.Sessions != 0 || u.Down == 0 {
		b.Errorf("usage of the revoked key %+v, want its bytes and no session", u)
	}
	b.refused(key, idle.addr())
}

// run reads 4 MiB of a flood.
func run(conn net.Conn) int64 {
	n, _ := io.CopyN(io.Discard, conn, 4<<20)
	return n
}

// drain reads until the stream ends.
func drain(conn net.Conn) error {
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, conn)
	return err
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func revocationDuringDial(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	key := b.key()
	b.put(key)
	slow := &slowName{asked: make(chan struct{}), release: make(chan struct{})}
	b.names.slow.Store(slow)
	opened := make(chan error, 1)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	go func() {
		conn, err := b.Dial(ctx, key, target.at("slow.test"))
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(patience))
			err = echo(conn, "hello")
			_ = conn.Close()
		}
		opened <- err
	}()
	<-slow.asked
	if ended := b.apply(nil, []int64{key.ID}, false); ended != 1 {
		b.Errorf("revocation during the dial ended %d sessions, want 1", ended)
	}
	close(slow.release)
	if err := <-opened; err == nil || isTimeout(err) {
		b.Errorf("the stream that was being dialled: %v, want it ended", err)
	}
	time.Sleep(silence / 5)
	if n := target.accepted.Load(); n != 0 {
		b.Errorf("the target was dialled %d times for a revoked key", n)
	}
}

func expiry(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	key, other := b.key(), b.key()
	b.put(key, other)
	conn, kept := b.open(key, target.addr()), b.open(other, target.addr())
	defer conn.Close()
	defer kept.Close()
	key.NotAfter = time.Now().Add(4 * silence).Truncate(time.Millisecond)
	b.put(key)
	if err := echo(conn, "not yet"); err != nil && time.Now().Before(key.NotAfter) {
		b.Errorf("the stream broke before the deadline: %v", err)
	}
	if err := drain(conn); isTimeout(err) {
		b.Error("the stream outlived its key's deadline")
	}
	if time.Now().Before(key.NotAfter) {
		b.Error("the stream ended before its key's deadline")
	}
	b.refused(key, target.addr())
	if err := echo(kept, "still here"); err != nil {
		b.Errorf("the other key's stream broke: %v", err)
	}
	key.NotAfter = time.Now().Add(time.Hour)
	b.put(key)
	again := b.open(key, target.addr())
	defer again.Close()
	key.NotAfter = time.Now().Add(-time.Hour)
	if ended := b.apply([]dataplane.Key{key}, nil, false); ended != 1 {
		b.Errorf("a deadline in the past ended %d sessions, want 1", ended)
	}
	if err := drain(again); isTimeout(err) {
		b.Error("the stream outlived a suspension")
	}
}

func maxSessions(b *bench) {
	target := b.serve("127.0.0.1", echoBack)
	key := b.key()
	key.Limits.MaxSessions = 2
	b.put(key)
	first, second := b.open(key, target.addr()), b.open(key, target.addr())
	defer second.Close()
	b.refused(key, target.addr())
	if err := echo(first, "still here"); err != nil {
		b.Errorf("a stream within the limit broke: %v", err)
	}
	_ = first.Close()
	b.eventually("a closed stream gives its place back", func() bool { return b.usage(key).Sessions == 1 })
	third := b.open(key, target.addr())
	defer third.Close()
	key.Limits.MaxSessions = 0
	b.put(key)
	fourth := b.open(key, target.addr())
	defer fourth.Close()
}
