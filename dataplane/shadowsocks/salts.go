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
type saltPool struct {
	most int
	now  func() time.Time

	mu         sync.Mutex
	young, old map[[keySize]byte]struct{}
	turnedAt   time.Time
}

func newSaltPool(most int, now func() time.Time) *saltPool {
	return &saltPool{most: most, now: now, young: make(map[[keySize]byte]struct{}), turnedAt: now()}
}

// add remembers a salt and reports whether it is new. When the pool is full none is: what cannot be remembered could be
// replayed.
func (p *saltPool) add(salt []byte) bool {
	var whole [keySize]byte
	copy(whole[:], salt)
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.now(); now.Sub(p.turnedAt) > saltTTL {
		p.old = p.young
		if now.Sub(p.turnedAt) > 2*saltTTL {
			p.old = nil
		}
		p.young, p.turnedAt = make(map[[keySize]byte]struct{}), now
	}
	_, inYoung := p.young[whole]
	_, inOld := p.old[whole]
	if inYoung || inOld || len(p.young) >= p.most {
		return false
	}
	p.young[whole] = struct{}{}
	return true
}
