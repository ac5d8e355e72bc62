package web

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"stile/vpn"
)

const (
	// liveEvery is how often what is shown live is read, once for all who look at it.
	liveEvery = 5 * time.Second
	// liveSamples is how many readings a chart shows.
	liveSamples = 36
	// maxStreams bounds the streams of this process, maxStreamsOfUser those of one user: the oldest makes room.
	maxStreams, maxStreamsOfUser = 2048, 8
	// streamFrames is how many frames may wait for a slow browser before its stream is cut; it comes back for a whole one.
	streamFrames = 4
)

// live is the one source of all that changes on pages while they are looked at: how the servers are, with the last readings of
// each. A frame is encoded once and shared by all streams.
type live struct {
	mu      sync.Mutex
	seq     uint64 // of the reading, 0 = none yet
	at      time.Time
	servers map[int64]*liveServer
	total   series
	online  int
	whole   *frame // of the present reading, nil until a stream asks for it
	streams map[*stream]struct{}
	byUser  map[int64][]*stream // the oldest first
	isOver  bool
}

// liveServer is a server with its last readings.
type liveServer struct {
	seq          uint64 // of the last reading that had it
	status       vpn.ServerStatus
	load, active int
	isChanged    bool // since the reading before
	series       series
}

// series are the last readings of a number, the latest at the end.
type series struct {
	values [liveSamples]int32
	n      int
}

func (s *series) add(v int) {
	if s.n == liveSamples {
		copy(s.values[:], s.values[1:])
		s.n--
	}
	s.values[s.n] = int32(min(v, 1<<30))
	s.n++
}

// all are the readings, the oldest first.
func (s *series) all() []int32 { return s.values[:s.n] }

// frame is what one reading sends: an event for users, with what anybody may see of the servers, and one for operators.
type frame struct{ users, operators []byte }

// stream is one browser that looks.
type stream struct {
	userID int64
	frames chan *frame
	// ended is closed when the stream must end: for good if isOld, else to be opened again.
	ended chan struct{}
	isOld bool
}

// Run reads what is shown live until ctx ends, and then ends all streams.
func (s *Site) Run(ctx context.Context) error {
	ticker := time.NewTicker(liveEvery)
	defer ticker.Stop()
	defer s.EndStreams()
	for {
		if err := s.readLive(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "what pages show live was not read", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// readLive takes a reading and sends it to all streams.
func (s *Site) readLive(ctx context.Context) error {
	servers, err := s.service.AllServers(ctx, vpn.Shell())
	if err != nil {
		return err
	}
	s.live.take(servers, s.service.Now())
	return nil
}

// EndStreams ends all streams and lets no more begin: the program stops, and must not wait for browsers that look on. They
// come back by themselves, to another replica or when the program runs again.
func (s *Site) EndStreams() {
	l := &s.live
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isOver = true
	for st := range l.streams {
		l.remove(st)
	}
}

// take keeps a reading and hands the difference to the reading before to all streams.
func (l *live) take(servers []vpn.ListedServer, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers == nil {
		l.servers = make(map[int64]*liveServer, len(servers))
	}
	l.seq++
	l.at, l.whole, l.online = at, nil, 0
	total := 0
	for i := range servers {
		read := &servers[i]
		kept := l.servers[read.ID]
		if kept == nil {
			kept = new(liveServer)
			l.servers[read.ID] = kept
		}
		kept.isChanged = kept.seq == 0 || kept.load != read.Load || kept.active != read.ActiveConnections || kept.status != read.Status
		kept.seq, kept.status, kept.load, kept.active = l.seq, read.Status, read.Load, read.ActiveConnections
		kept.series.add(kept.active)
		total += kept.active
		if kept.status != vpn.StatusOffline {
			l.online++
		}
	}
	l.total.add(total)
	for id, kept := range l.servers {
		if kept.seq != l.seq { // removed
			delete(l.servers, id)
		}
	}
	if len(l.streams) == 0 {
		return
	}
	f := l.frame(false)
	for st := range l.streams {
		select {
		case st.frames <- f:
		default:
			l.remove(st)
		}
	}
}

// frame encodes the present reading: all of it, or what changed. A key is a letter and the number of a server: "l" for the
// load, "c" for the connections.
func (l *live) frame(isWhole bool) *frame {
	users, operators := []byte("event: values\ndata: {"), []byte("event: values\ndata: {")
	add := func(b []byte, kind byte, id int64, v int) []byte {
		b = append(b, '"', kind)
		b = strconv.AppendInt(b, id, 10)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, int64(v), 10)
		return append(b, ',')
	}
	for id, s := range l.servers {
		if !isWhole && !s.isChanged {
			continue
		}
		operators = add(operators, 'c', id, s.active)
		if s.status != vpn.StatusOffline { // users have no offline servers in their list
			users = add(add(users, 'l', id, s.load), 'c', id, s.active)
		}
	}
	operators = append(operators, `"online":`...)
	operators = strconv.AppendInt(operators, int64(l.online), 10)
	operators = append(operators, `,"total":`...)
	operators = strconv.AppendInt(operators, int64(l.total.values[max(l.total.n-1, 0)]), 10)
	if users[len(users)-1] == ',' {
		users = users[:len(users)-1]
	}
	return &frame{users: append(users, "}\n\n"...), operators: append(operators, "}\n\n"...)}
}

// open begins a stream of a user, with a whole frame waiting in it if there was a reading; nil when there are too many, or the program stops.
func (l *live) open(userID int64) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isOver {
		return nil
	}
	if mine := l.byUser[userID]; len(mine) >= maxStreamsOfUser {
		mine[0].isOld = true
		l.remove(mine[0])
	} else if len(l.streams) >= maxStreams {
		return nil
	}
	st := &stream{userID: userID, frames: make(chan *frame, streamFrames), ended: make(chan struct{})}
	if l.streams == nil {
		l.streams, l.byUser = make(map[*stream]struct{}), make(map[int64][]*stream)
	}
	l.streams[st] = struct{}{}
	l.byUser[userID] = append(l.byUser[userID], st)
	if l.whole == nil && l.seq > 0 {
		l.whole = l.frame(true)
	}
	if l.whole != nil {
		st.frames <- l.whole
	}
	return st
}

func (l *live) close(st *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remove(st)
}

// remove ends a stream, unless it ended.
func (l *live) remove(st *stream) {
	if _, isThere := l.streams[st]; !isThere {
		return
	}
	delete(l.streams, st)
	rest := slices.DeleteFunc(l.byUser[st.userID], func(other *stream) bool { return other == st })
	if len(rest) == 0 {
		delete(l.byUser, st.userID)
	} else {
		l.byUser[st.userID] = rest
	}
	close(st.ended)
}

// errTooMany says that no more streams are served.
var errTooMany = errors.New("too many streams")
