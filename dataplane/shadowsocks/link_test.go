package shadowsocks

import (
	"context"
	"io"
	"testing"
)

// A target that was dialled while the link was cut must not stay open.
func TestLinkCutBeforeItsTargetIsAttached(t *testing.T) {
	client, _ := tcpPair(t)
	target, far := tcpPair(t)
	l := &link{client: client}
	l.ctx, l.cancel = context.WithCancel(t.Context())
	l.cut()
	l.cut()
	if l.attach(target) {
		t.Error("a cut link takes a target")
	}
	if _, err := far.Read(make([]byte, 1)); err == nil || err == io.EOF {
		t.Errorf("the target's connection ends with %v, want a reset", err)
	}
	if l.ctx.Err() == nil {
		t.Error("a cut link goes on dialling")
	}
}
