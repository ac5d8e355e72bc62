package vpn

import (
	"context"
	"time"
)

// Observer is told what happens, for those who watch the service: never who did it, from where, or with which key. Its
// methods are called from many goroutines and return at once.
type Observer interface {
	// SignedIn tells the outcome of a try to sign in: "ok", the Code of a refusal, or "error".
	SignedIn(outcome string)
	// KeyIssued tells that a key was written for a device: a new one, or the present one with another deadline or limits.
	KeyIssued()
	// Waited tells how long was waited for a node to apply a change, and whether it did in time.
	Waited(w Wait, isApplied bool, took time.Duration)
	// UsageReported tells that a node's report came: booked, or one that was not the next in its stream.
	UsageReported(isBooked bool)
}

// Wait is what a node is waited for.
type Wait string

// The kinds of Wait.
const (
	WaitKey        Wait = "key"
	WaitRevocation Wait = "revocation"
)

// waitApplied waits until a node has a revision, and tells how long that took.
func (s *Service) waitApplied(ctx context.Context, w Wait, nodeID, rev int64) bool {
	began := time.Now()
	isApplied := s.nodes.WaitApplied(ctx, nodeID, rev)
	s.observer.Waited(w, isApplied, time.Since(began))
	return isApplied
}

// outcome is how a try to sign in ended.
func outcome(err error) string {
	switch code := CodeOf(err); {
	case err == nil:
		return "ok"
	case code != "":
		return string(code)
	default:
		return "error"
	}
}

// blind is the Observer that nobody asked for.
type blind struct{}

func (blind) SignedIn(string)                  {}
func (blind) KeyIssued()                       {}
func (blind) Waited(Wait, bool, time.Duration) {}
func (blind) UsageReported(bool)               {}
