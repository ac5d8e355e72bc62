package shadowsocks

import (
	"sync"
	"time"
)

// maxSkew is how far a message's timestamp may be from our clock (SIP022, section 3.1.3).
const maxSkew = 30 * time.Second

// saltTTL is how long a salt is remembered: a message that comes from a clock 30 s ahead stays acceptable for 60 s, and
// timestamps are whole seconds.
const saltTTL = 2*maxSkew + 2*time.Second

// maxSalts2022 bounds the salts of one generation: 16,900 new connections a second, more than a node serves.
const maxSalts2022 = 1 << 20

// saltPool remembers whole salts for saltTTL at least, as SIP022 demands, in two generations. It forgets when the node
// restarts; then a message can be repeated for as long as its timestamp allows.
//
// A clock that is set back makes old timestamps acceptable again. So of all that is forgotten of a user the newest timestamp is
// kept, and nothing of that user's up to it is taken. As long as the clock only goes on, that refuses nobody: what is forgotten
// is 62 s old, and who is accepted at most 30 s behind.
type saltPool struct {
	most int
	now  func() time.Time // does not go back

	mu         sync.Mutex // holds every user's forgotten, too
	young, old map[[keySize]byte]message
	turnedAt   time.Time
}

// message is what was authentic: whose, and its timestamp.
type message struct {
	user  *user
	stamp uint64
}

func newSaltPool(most int, now func() time.Time) *saltPool {
	return &saltPool{most: most, now: now, young: make(map[[keySize]byte]message), turnedAt: now()}
}

// add remembers a request's salt and reports whether it is new. When the pool is full none is: what cannot be remembered could
// be replayed.
func (p *saltPool) add(salt []byte, m message) bool {
	var whole [keySize]byte
	copy(whole[:], salt)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.turnedAt) > saltTTL {
		for _, gone := range p.old {
			gone.user.forgotten = max(gone.user.forgotten, gone.stamp)
		}
		p.young, p.old, p.turnedAt = make(map[[keySize]byte]message), p.young, now
	}
	_, inYoung := p.young[whole]
	_, inOld := p.old[whole]
	if inYoung || inOld || len(p.young) >= p.most || m.stamp <= m.user.forgotten {
		return false
	}
	p.young[whole] = m
	return true
}

// forget notes the newest timestamp of a user's session of UDP that is not remembered any more.
func (p *saltPool) forget(u *user, stamp uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u.forgotten = max(u.forgotten, stamp)
}

// isForgotten reports whether a session of UDP with this timestamp may be one that is not remembered any more.
func (p *saltPool) isForgotten(u *user, stamp uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return stamp <= u.forgotten
}
