package dataplane

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
)

// A part that comes while the link is cut must not stay open, and a cut after the end must touch nothing.
func TestLinkIsCutOnce(t *testing.T) {
	links, cuts := NewLinks(), 0
	part := func() { cuts++ }
	l := links.Open(t.Context())
	if !l.Attach(part) || l.IsCut() {
		t.Fatal("a fresh link takes nothing")
	}
	l.Cut()
	l.Cut()
	if cuts != 1 || l.Context().Err() == nil || !l.IsCut() {
		t.Errorf("%d parts ended, %v: want one, and the dial over", cuts, l.Context().Err())
	}
	if l.Attach(part) || cuts != 2 {
		t.Error("a cut link takes a part")
	}
	links.Leave(l)

	l = links.Open(t.Context())
	l.Attach(part)
	links.Leave(l)
	l.Cut()
	if cuts != 2 || l.IsCut() {
		t.Error("a link that has ended was cut")
	}
}

// A target that was dialled while the link was cut must not stay open.
func TestLinkCutWhileItDials(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	to := listener.Addr().(*net.TCPAddr).AddrPort()
	egress := NewEgress(EgressConfig{AllowTargets: []netip.Prefix{netip.PrefixFrom(to.Addr(), 32)}})
	links := NewLinks()
	l := links.Open(t.Context())
	l.ctx = context.WithoutCancel(l.ctx) // the dial wins the race against the cut
	l.Cut()
	if _, err := l.Dial(egress, Target{Addr: to.Addr(), Port: to.Port()}); !errors.Is(err, ErrEnded) {
		t.Errorf("dialling on a cut link: %v, want ErrEnded", err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the connection stays open")
	}
}

func TestLinksCloseInOrder(t *testing.T) {
	links, began, stopped := NewLinks(), 0, 0
	served := make(chan struct{})
	go func() {
		defer close(served)
		links.Serve(t.Context(), func() { began++ })
	}()
	for !running(links, &began) {
	}
	stays, leaves := links.Open(t.Context()), links.Open(t.Context())
	ended := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- links.Close(ctx, func() { stopped++ }) }()
	<-served
	if links.Open(t.Context()) != nil {
		t.Error("a link was opened while closing")
	}
	links.Leave(leaves)
	select {
	case err := <-ended:
		t.Fatalf("Close returned %v while a link was open", err)
	default:
	}
	stays.Attach(func() { go links.Leave(stays) })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || !stays.IsCut() || leaves.IsCut() {
		t.Errorf("Close returned %v; cut: %t and %t, want only what was left", err, stays.IsCut(), leaves.IsCut())
	}
	links.Serve(t.Context(), func() { began++ })
	if err := links.Close(t.Context(), func() { stopped++ }); err != nil || began != 1 || stopped != 1 {
		t.Errorf("again: %v, began %d times, stopped %d times", err, began, stopped)
	}
}

func running(links *Links, began *int) bool {
	links.mu.Lock()
	defer links.mu.Unlock()
	return *began == 1
}
