package hub

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"

	"stile/wire"
)

// pollRoom is how many bytes wait for the next poll; one frame may be larger.
const pollRoom = 64 << 10

// pollLink keeps frames until the node polls, for nodes behind a middlebox that kills streams.
type pollLink struct {
	*memberLink
	isPolled sync.Mutex // held by the one poll under way
	mu       sync.Mutex
	out      []byte
	// ready has one slot: something waits. room has one slot: something was taken.
	ready, room chan struct{}
}

// Send keeps a frame for the next poll, when there is room.
func (p *pollLink) Send(ctx context.Context, f wire.Frame) error {
	body, err := p.encode(f)
	if err != nil {
		return err
	}
	for !p.put(body) {
		select {
		case <-p.room:
		case <-p.closed:
			return io.ErrClosedPipe
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	signal(p.ready)
	return nil
}

func (p *pollLink) put(body []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.out) > 0 && len(p.out)+len(body) > pollRoom {
		return false
	}
	p.out = append(p.out, body...)
	return true
}

func (p *pollLink) takeAll() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.out
	p.out = nil
	return all
}

func signal(slot chan struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// wait returns what there is for the node, or nothing after a poll's time; false when the link has ended.
func (p *pollLink) wait(ctx context.Context, longest time.Duration) ([]byte, bool) {
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		if all := p.takeAll(); len(all) > 0 {
			signal(p.room)
			return all, true
		}
		select {
		case <-p.ready:
		case <-timer.C:
			return nil, true
		case <-p.closed:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
}

// poll answers with frames. Without a stream's name it opens one, which lives until the node is silent for too long.
func (l *Listener) poll(w http.ResponseWriter, r *http.Request, by caller) {
	name := r.Header.Get(wire.StreamHeader)
	if name == "" {
		l.openPoll(w, r, by)
		return
	}
	if l.linkOf(by, name) == nil {
		l.refuse(w, http.StatusGone, wire.NodeNoStream)
		return
	}
	l.mu.Lock()
	p := l.polls[name]
	l.mu.Unlock()
	if p == nil || !p.isPolled.TryLock() {
		l.refuse(w, http.StatusGone, wire.NodeNoStream)
		return
	}
	defer p.isPolled.Unlock()
	frames, ok := p.wait(r.Context(), l.cfg.PollWait)
	switch {
	case !ok:
		l.refuse(w, http.StatusGone, wire.NodeNoStream)
	case len(frames) == 0:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTimeout))
		if _, err := w.Write(frames); err != nil { // they are lost, and with them the order
			_ = p.Close()
		}
	}
}

func (l *Listener) openPoll(w http.ResponseWriter, r *http.Request, by caller) {
	leave := l.admit(w, r, by)
	if leave == nil {
		return
	}
	p := &pollLink{memberLink: newMemberLink(by, leave), ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	if !l.add(p.memberLink) {
		leave()
		l.refuseBusy(w, l.hellos)
		return
	}
	l.mu.Lock()
	l.polls[p.name] = p
	l.mu.Unlock()
	ctx := context.WithoutCancel(r.Context()) // Run closes it
	go func() {
		defer l.remove(p.memberLink)
		l.run(ctx, p.memberLink, p)
	}()
	w.Header().Set(wire.StreamHeader, p.name)
	w.WriteHeader(http.StatusNoContent)
}
