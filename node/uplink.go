package node

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"stile/wire"
)

const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// uplink keeps a link to the control plane: it dials, hands over what it hears, and dials again with full jitter.
type uplink struct {
	dial   func(ctx context.Context) (wire.Link, error)
	events chan linkEvent
	log    *slog.Logger
	// off is how many times in a row the control plane's clock was another than ours.
	off int
}

// linkEvent is a new link (no frame, no error), a frame of a link, or its end.
type linkEvent struct {
	link  wire.Link
	frame wire.Frame
	err   error
}

// run returns when ctx ends.
func (u *uplink) run(ctx context.Context) {
	for failures := 0; ; failures++ {
		link, err := u.dial(ctx)
		if err == nil {
			var welcomed bool
			welcomed, err = u.hear(ctx, link)
			if welcomed {
				failures = 0
			}
		}
		if ctx.Err() != nil {
			return
		}
		pause := rand.N(min(lastPause, firstPause<<min(failures, 6))) //nolint:gosec // to spread nodes, not to hide anything
		if refused, ok := errors.AsType[*RefusedError](err); ok && refused.RetryAfter > 0 {
			// The control plane spreads the nodes itself; waiting for longer would spread them twice.
			pause, failures = refused.RetryAfter-rand.N(time.Second), failures-1 //nolint:gosec // as above
		}
		u.log.Info("no link to the control plane", "reason", err, "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// hear hands over a link and its frames until it ends, and reports whether the control plane welcomed the node.
func (u *uplink) hear(ctx context.Context, link wire.Link) (welcomed bool, err error) {
	defer link.Close()
	event := linkEvent{link: link}
	for {
		select {
		case u.events <- event:
		case <-ctx.Done():
			return welcomed, ctx.Err()
		}
		if event.err != nil {
			return welcomed, event.err
		}
		event.frame, event.err = link.Receive(ctx)
		switch f := event.frame.(type) {
		case *wire.Welcome:
			welcomed = true
			u.log.Info("linked to the control plane")
			u.compare(f.ServerTime)
		case *wire.ServerBeat:
			u.compare(f.ServerTime)
		}
	}
}

// compare tells when the control plane's clock (unix milliseconds) is another than this machine's. One frame may have
// been long on its way, so two in a row have to say so.
func (u *uplink) compare(theirs int64) {
	off := time.Since(time.UnixMilli(theirs))
	if off.Abs() <= clockLimit {
		u.off = 0
		return
	}
	if u.off++; u.off == 2 {
		u.log.Warn("the clock of this machine is not the control plane's: keys end at the wrong time, and methods of 2022 refuse everybody",
			"off_by", off.Round(time.Second), "remedy", clockRemedy)
	}
}
