package hub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"sync"
	"time"

	"stile/wire"
)

// memberLink is what streams and polls have in common: whose it is, and what came from the node.
type memberLink struct {
	by   caller
	name string // in StreamHeader
	// welcomed ends the node's admission.
	welcomed  func()
	in        *inbox
	isSending sync.Mutex // held by the one request with frames under way
	closed    chan struct{}
	once      sync.Once
}

func newMemberLink(by caller, welcomed func()) *memberLink {
	var name [8]byte
	_, _ = rand.Read(name[:]) // never fails
	return &memberLink{by: by, name: hex.EncodeToString(name[:]), welcomed: welcomed, in: newInbox(), closed: make(chan struct{})}
}

// Close ends the link. It may be called more than once.
func (m *memberLink) Close() error {
	m.once.Do(func() {
		close(m.closed)
		m.in.end(io.EOF)
		m.welcomed()
	})
	return nil
}

// encode is a frame with its length, within its bound. A Welcome ends the admission.
func (m *memberLink) encode(f wire.Frame) ([]byte, error) {
	body := wire.Append(nil, f)
	if len(body) > wire.MaxNodeBody {
		return nil, wire.ErrFrameTooLarge
	}
	if f.Type() == wire.TypeWelcome {
		m.welcomed()
	}
	return body, nil
}

// streamLink writes frames as the answer to one request, straight from the stream's goroutine: what a node does not read
// waits in that one write, for as long as the sender allows.
type streamLink struct {
	*memberLink
	w       http.ResponseWriter
	control *http.ResponseController
}

// Send writes a frame.
func (s *streamLink) Send(ctx context.Context, f wire.Frame) error {
	select {
	case <-s.closed:
		return io.ErrClosedPipe
	default:
	}
	body, err := s.encode(f)
	if err != nil {
		return err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(sendTimeout)
	}
	if err := s.control.SetWriteDeadline(deadline); err != nil {
		return err
	}
	if _, err := s.w.Write(body); err != nil {
		return err
	}
	if err := s.control.Flush(); err != nil {
		return err
	}
	return s.control.SetWriteDeadline(time.Time{})
}

// stream is a node's stream: it lasts as long as the request.
func (l *Listener) stream(w http.ResponseWriter, r *http.Request, by caller) {
	leave := l.admit(w, r, by)
	if leave == nil {
		return
	}
	link := &streamLink{memberLink: newMemberLink(by, leave), w: w, control: http.NewResponseController(w)}
	if !l.add(link.memberLink) {
		leave()
		l.refuseBusy(w, l.hellos)
		return
	}
	defer l.remove(link.memberLink)
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(wire.StreamHeader, link.name)
	w.WriteHeader(http.StatusOK)
	if err := link.control.Flush(); err != nil {
		return
	}
	l.run(r.Context(), link.memberLink, link)
}

// admit lets a member begin, or has refused it: there are too many, which is looked at before the database is, or others
// take the nodes over. A node that is welcomed for no time would think that streams do not last.
func (l *Listener) admit(w http.ResponseWriter, r *http.Request, by caller) (leave func()) {
	if l.cfg.Hub.isDraining.Load() {
		l.refuse(w, http.StatusServiceUnavailable, wire.NodeServerError)
		return nil
	}
	if !l.mayVisit(w, by) {
		return nil
	}
	if leave = l.hellos.enter(r.Context()); leave == nil {
		l.refuseBusy(w, l.hellos)
		return nil
	}
	if !l.isMember(w, r, by) {
		leave()
		return nil
	}
	return leave
}

// run drives a link until it ends, and says why if the reason is worth telling.
func (l *Listener) run(ctx context.Context, m *memberLink, link outlet) {
	if err := l.cfg.Hub.serve(ctx, m.by.id, link, m.in); err != nil {
		l.cfg.Hub.tell(l.cfg.Hub.node(m.by.id), l.cfg.Log.Info, "a node's stream ended", "reason", err)
	}
}

// add takes a link on, to be removed in the end, unless its node has too many or the listener is stopping.
func (l *Listener) add(m *memberLink) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isStopping || !l.each.enter(m.by.id) {
		return false
	}
	l.links[m.name] = m
	l.live.Add(1)
	return true
}

func (l *Listener) remove(m *memberLink) {
	_ = m.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.links, m.name)
	delete(l.polls, m.name)
	l.each.leave(m.by.id)
	l.live.Done()
}

// frames takes what a node sends. The stream may have ended meanwhile: then the node must open another.
func (l *Listener) frames(w http.ResponseWriter, r *http.Request, by caller) {
	m := l.linkOf(by, r.Header.Get(wire.StreamHeader))
	if m == nil {
		l.refuse(w, http.StatusGone, wire.NodeNoStream)
		return
	}
	if !m.isSending.TryLock() { // nodes send one after the other
		l.refuse(w, http.StatusGone, wire.NodeNoStream)
		return
	}
	defer m.isSending.Unlock()
	if m.in.room(r.Context()) != nil {
		l.refuse(w, http.StatusGone, wire.NodeNoStream)
		return
	}
	body := l.body(w, r, wire.MaxNodeBody)
	if body == nil {
		return
	}
	frames, err := wire.ReadAll(body)
	if err != nil {
		_ = m.Close()
		l.refuse(w, http.StatusBadRequest, wire.NodeBadRequest)
		return
	}
	for _, f := range frames {
		if m.in.put(f) != nil {
			l.refuse(w, http.StatusGone, wire.NodeNoStream)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// linkOf returns a node's own stream by its name, or nil. Its membership was looked up when it began, and is every second.
func (l *Listener) linkOf(by caller, name string) *memberLink {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.links[name]; m != nil && m.by == by {
		return m
	}
	return nil
}
