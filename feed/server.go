package feed

import (
	"fmt"

	"stile/wire"
)

// Times of the protocol, in milliseconds.
const (
	// Heartbeat is how often either side says that it lives, ± 20 %.
	Heartbeat = 15_000
	// Silence after which a side gives the stream up.
	Silence = 45_000
	// slowest is the longest pause between attempts that the other side keeps refusing.
	slowest int64 = 60_000
)

// changeLimit is how many rows a Delta holds at most, but for rows of one revision, which stay together.
const changeLimit = 1000

type serverPhase int

const (
	serverWaits    serverPhase = iota // for the Hello
	serverPlaces                      // for the position in the database
	serverLive                        // the node was welcomed
	serverIsClosed                    // nothing happens any more
)

// ServerConfig says what a stream is of.
type ServerConfig struct {
	NodeID  int64
	Session uint64 // random
	// Quarantine and Allowance are the node's, kept from stream to stream. Without an Allowance the stream has its own.
	Quarantine Quarantine
	Allowance  *Allowance
	// HasPeers says that other control planes serve the same database, or believe to. A node that is ahead then may have
	// followed the right one, and this one be left over from before a failover: it stops. Without peers, the node proves
	// that the database was restored, and the epoch rises.
	HasPeers bool
}

// Server is the control side of one stream of one node. Its whole memory of the node's set is which revision was sent
// and which was acknowledged.
type Server struct {
	nodeID     int64
	session    uint64
	quarantine Quarantine
	allowance  *Allowance
	hasPeers   bool

	phase    serverPhase
	hello    *wire.Hello
	epoch    int64
	floor    int64
	sentRev  int64
	ackedRev int64
	digest   wire.Digest // of the set at sentRev, if isComplete
	// isComplete: sentRev is where the database stood. isInFlight: sentRev is neither acknowledged nor refused.
	// isReading: a read, or Entomb or RaiseEpoch, is under way. isDirty: there may be rows above sentRev. isBack: the next rows
	// are ones that the node had, or should have had.
	isComplete, isInFlight, isReading, isDirty, isBack bool
	repair                                             *repair // nil: rows are enough
	config                                             configServer

	isRaised bool // the epoch was raised for this node
	failures int  // refusals and failed reads in a row
	now      int64
	wall     int64
	retryAt  int64
	heardAt  int64
	beatAt   int64
}

// NewServer returns the machine of a new stream.
func NewServer(c ServerConfig) *Server {
	s := &Server{nodeID: c.NodeID, session: c.Session, quarantine: c.Quarantine, allowance: c.Allowance, hasPeers: c.HasPeers}
	if s.allowance == nil {
		s.allowance = new(Allowance)
	}
	return s
}

// SentRev is the revision to which the frames sent so far lead.
func (s *Server) SentRev() int64 { return s.sentRev }

// Epoch is the one that revisions of this stream belong to, 0 before the Welcome.
func (s *Server) Epoch() int64 { return s.epoch }

// Step takes an event and returns what must be done about it, in order.
func (s *Server) Step(e Event) []Effect {
	if s.phase == serverIsClosed {
		return nil
	}
	switch e := e.(type) {
	case Ticked:
		s.wall = e.Wall
		return s.tick(e.Now)
	case Received:
		s.heardAt = s.now
		return s.receive(e.Frame)
	case Woken:
		s.isDirty = true
		return s.pump()
	case PositionRead:
		return s.welcome(e.Position, e.Cursors)
	case ChangesRead:
		return s.sendChanges(e)
	case SnapshotRead:
		return s.sendSet(e)
	case Entombed:
		return s.entombed(e.Count)
	case ReadFailed:
		return s.readFailed()
	case ConfigWoken:
		s.config.isStale = true
		return s.pumpConfig()
	case ConfigRead:
		return s.configRead(e.Wanted)
	case ConfigFailed:
		return s.configFailed()
	case UsageBooked:
		return []Effect{Send{&wire.UsageAck{Stream: e.Stream, Seq: e.Cursor}}}
	}
	return nil
}

func (s *Server) close(why string) []Effect {
	s.phase = serverIsClosed
	return []Effect{Close{why}}
}

func (s *Server) tick(now int64) []Effect {
	if s.now == 0 {
		s.heardAt = now
	}
	s.now = now
	if now-s.heardAt > Silence {
		return s.close("the node is silent")
	}
	if s.phase != serverLive {
		return nil
	}
	var out []Effect
	if now >= s.beatAt {
		s.beatAt = now + Heartbeat*4/5 + int64(s.session%(Heartbeat*2/5))
		out = append(out, Send{s.sign()})
	}
	out = append(out, s.pump()...)
	return append(out, s.pumpConfig()...)
}

// sign is the sign of life. While a repair is owed it claims nothing about the set.
func (s *Server) sign() *wire.ServerBeat {
	b := &wire.ServerBeat{ServerTime: s.wall, Floor: s.floor}
	if s.repair == nil || s.isInFlight {
		b.Epoch, b.Rev, b.IsComplete, b.Digest = s.epoch, s.sentRev, s.isComplete, s.digest
	}
	return b
}

// pump starts the next read, if there is cause for one and nothing in flight.
func (s *Server) pump() []Effect {
	if s.phase != serverLive || s.isReading || s.isInFlight || s.now < s.retryAt {
		return nil
	}
	switch {
	case s.repair != nil:
		return s.mend()
	case s.isBack:
		out, wait := s.spend(&s.allowance.sets, sets, "has keys sent again")
		if s.isBack = wait > 0; s.isBack {
			s.retryAt = s.now + wait
			return out
		}
		return s.pump()
	case s.isDirty:
		s.isReading, s.isDirty = true, false
		return []Effect{ReadChanges{After: s.sentRev, Limit: changeLimit}}
	}
	return nil
}

func (s *Server) receive(f wire.Frame) []Effect {
	hello, isHello := f.(*wire.Hello)
	switch {
	case isHello && s.phase != serverWaits:
		return s.close("a second hello")
	case isHello && (hello.Proto != wire.Protocol || hello.NodeID != s.nodeID):
		return s.close(fmt.Sprintf("a hello of node %d in protocol %d", hello.NodeID, hello.Proto))
	case isHello:
		s.phase, s.hello = serverPlaces, hello
		return s.greetConfig(hello)
	case s.phase == serverWaits:
		return s.close("a frame before the hello")
	}
	if s.phase != serverLive {
		return nil
	}
	return s.heed(f)
}

// heed takes a frame of a node that was welcomed.
func (s *Server) heed(f wire.Frame) []Effect {
	switch f := f.(type) {
	case *wire.Ack:
		if f.Session == s.session {
			return s.ack(f.Epoch, f.Rev, f.Refused)
		}
	case *wire.Nack:
		if f.Session == s.session && f.RefusedRev == s.sentRev {
			return s.refused(f)
		}
	case *wire.NodeBeat:
		if f.Session == s.session {
			return s.beat(f)
		}
	case *wire.Revoked:
		if f.Session == s.session {
			return s.givenBack(f)
		}
	case *wire.BucketPrints:
		if f.Session == s.session {
			return s.shown(f)
		}
	case *wire.Usage:
		return []Effect{BookUsage{f}}
	case *wire.ConfigReport:
		if f.Session == s.session {
			return s.reported(&f.Serving)
		}
	}
	return nil
}

func (s *Server) readFailed() []Effect {
	if s.phase == serverPlaces {
		return s.close("the position could not be read")
	}
	if s.isReading {
		s.isReading, s.isDirty = false, true
		if s.repair != nil {
			s.repair.again()
		}
		s.backOff()
	}
	return nil
}

// backOff spaces attempts out: 1 s, 2 s, 4 s … a minute.
func (s *Server) backOff() {
	s.retryAt = s.now + min(slowest, int64(1000)<<min(s.failures, 6))
	s.failures++
}

func (s *Server) ack(epoch, rev int64, refused []int64) []Effect {
	if !s.isInFlight || epoch != s.epoch || rev != s.sentRev {
		return nil
	}
	s.isInFlight, s.repair = false, nil
	s.ackedRev, s.failures, s.retryAt = rev, 0, 0
	var out []Effect
	if s.isComplete { // only then was the set compared with the database's
		out = append(out, Acked{Rev: rev, Refused: refused})
	}
	return append(out, s.pump()...)
}

func (s *Server) beat(b *wire.NodeBeat) []Effect {
	out := []Effect{Alive{Load: b.Load, ActiveKeys: b.ActiveKeys, Sessions: b.Sessions}}
	if b.Epoch != s.epoch || b.Rev != s.sentRev {
		return out
	}
	if !s.isComplete || b.Digest == s.digest {
		return append(out, s.ack(b.Epoch, b.Rev, b.Refused)...) // the Ack itself may be lost
	}
	if s.isInFlight || s.repair != nil {
		return out // sent before what is under way arrived
	}
	out = append(out, s.alarmDigest(b.Rev))
	return append(out, s.resync()...)
}
