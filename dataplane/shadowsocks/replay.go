package shadowsocks

import (
	"crypto/rand"
	"encoding/binary"
	"hash/maphash"
	"sync"
)

// How many salts a generation holds. At a thousand connections a second the older of two is 17 minutes old at least; at
// ten, more than a day. A full generation takes about 18 MB, an idle node's next to nothing.
const (
	tcpSalts = 1 << 20
	udpSalts = 1 << 19
)

// replayFilter remembers the salts of everything that was authentic, as 64-bit hashes under a key of this process, in
// two generations. It forgets when the node restarts; AEAD-2018 has nothing that would survive that.
type replayFilter struct {
	seed maphash.Seed
	size int

	mu         sync.Mutex
	young, old map[uint64]struct{}
}

func newReplayFilter(size int) *replayFilter {
	return &replayFilter{seed: maphash.MakeSeed(), size: size, young: make(map[uint64]struct{})}
}

// add remembers a salt and reports whether it is new.
func (f *replayFilter) add(salt []byte) bool {
	hash := maphash.Bytes(f.seed, salt)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, seen := f.young[hash]; seen {
		return false
	}
	if _, seen := f.old[hash]; seen {
		return false
	}
	if len(f.young) >= f.size {
		f.young, f.old = make(map[uint64]struct{}), f.young
	}
	f.young[hash] = struct{}{}
	return true
}

// saltMaker makes the salts of this server and knows them again, so that what it sent cannot be sent back to it: the
// last four bytes are a hash of the others under a key of this process, which nobody else can tell from random.
type saltMaker struct{ seed maphash.Seed }

const markSize = 4

func newSaltMaker() saltMaker { return saltMaker{seed: maphash.MakeSeed()} }

func (m saltMaker) fill(salt []byte) {
	_, _ = rand.Read(salt) // never fails: the program would crash instead
	binary.LittleEndian.PutUint32(salt[saltSize-markSize:], m.mark(salt))
}

func (m saltMaker) isOwn(salt []byte) bool {
	return binary.LittleEndian.Uint32(salt[saltSize-markSize:]) == m.mark(salt)
}

func (m saltMaker) mark(salt []byte) uint32 {
	return uint32(maphash.Bytes(m.seed, salt[:saltSize-markSize]))
}
