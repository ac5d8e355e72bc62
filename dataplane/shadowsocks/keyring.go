package shadowsocks

import (
	"slices"
	"sync"

	"stile/accesskey"
	"stile/dataplane"
)

// maxTrial bounds how many keys one connection is tried against.
const maxTrial = 64

// prefixTag is how a client that knows its key's prefix names it: the first bytes of its salts.
type prefixTag [accesskey.PrefixSize]byte

// credential is what the plane keeps of a key.
type credential struct {
	id     int64
	master [keySize]byte
	tag    prefixTag
	seats  []*seat // one in each range, in the order of the keyring's
}

// seat is a credential's place in the ring of a bucket, whose anchor is a seat of nobody.
type seat struct {
	credential *credential
	prev, next *seat
}

func newAnchor() *seat {
	s := new(seat)
	s.prev, s.next = s, s
	return s
}

func (s *seat) leave() {
	s.prev.next, s.next.prev = s.next, s.prev
	s.prev, s.next = nil, nil
}

// sitBehind links a seat as the first of a bucket.
func (s *seat) sitBehind(anchor *seat) {
	s.prev, s.next = anchor, anchor.next
	anchor.next.prev, anchor.next = s, s
}

// keyring finds credentials: by the tag of a salt, by number, and by the slot of a port for clients that name nothing. A
// range of ports divides the keys into as many buckets: those that share a port, those used or added last in front. Where
// ports have moved there are several ranges, and a slot that is in more than one has a bucket of each.
type keyring struct {
	mu     sync.RWMutex
	byID   map[int64]*credential
	byTag  map[prefixTag]*credential
	ranges [][]*seat // the anchors of each range's buckets
	slots  [][]*seat // the anchors at each slot
}

// newKeyring returns a keyring of one range, whose slots are 0, 1, 2 …
func newKeyring(buckets int) *keyring {
	r := &keyring{byID: make(map[int64]*credential), byTag: make(map[prefixTag]*credential)}
	slots := make([]int, buckets)
	for i := range slots {
		slots[i] = i
	}
	if buckets > 0 {
		r.addRange(slots)
	}
	return r
}

// addRange divides the keys into as many buckets more, one at each slot.
func (r *keyring) addRange(slots []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	anchors := make([]*seat, len(slots))
	for i, slot := range slots {
		anchors[i] = newAnchor()
		for slot >= len(r.slots) {
			r.slots = append(r.slots, nil)
		}
		r.slots[slot] = append(r.slots[slot], anchors[i])
	}
	r.ranges = append(r.ranges, anchors)
	for _, c := range r.byID {
		c.seat(anchors)
	}
}

// dropRange forgets a range by its number.
func (r *keyring) dropRange(i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.byID {
		c.seats[i].leave()
		c.seats = slices.Delete(c.seats, i, i+1)
	}
	for slot, anchors := range r.slots {
		r.slots[slot] = slices.DeleteFunc(anchors, func(a *seat) bool { return slices.Contains(r.ranges[i], a) })
	}
	r.ranges = slices.Delete(r.ranges, i, i+1)
}

// seat gives a credential its place in one more range.
func (c *credential) seat(anchors []*seat) {
	s := &seat{credential: c}
	c.seats = append(c.seats, s)
	s.sitBehind(anchors[accesskey.Port(0, len(anchors), c.id)])
}

// apply follows Plane.Apply. Credentials are derived before the lock is taken, so that connections never wait for it.
func (r *keyring) apply(put []dataplane.Key, remove []int64, full bool) {
	fresh := r.derive(put)
	r.mu.Lock()
	defer r.mu.Unlock()
	if full {
		kept := make(map[int64]struct{}, len(put))
		for i := range put {
			kept[put[i].ID] = struct{}{}
		}
		for id, c := range r.byID {
			if _, ok := kept[id]; !ok {
				r.drop(c)
			}
		}
	}
	for _, c := range fresh {
		if r.byID[c.id] == nil {
			r.byID[c.id], r.byTag[c.tag] = c, c
			for _, anchors := range r.ranges {
				c.seat(anchors)
			}
		}
	}
	for _, id := range remove {
		if c := r.byID[id]; c != nil {
			r.drop(c)
		}
	}
}

// derive returns credentials of the keys that are not known yet. A key's seed never changes.
func (r *keyring) derive(put []dataplane.Key) []*credential {
	var fresh []*credential
	for i := range put {
		if r.find(put[i].ID) != nil {
			continue
		}
		secret := accesskey.Seed(put[i].Seed).Shadowsocks()
		c := &credential{id: put[i].ID, master: masterKey(secret.Password)}
		copy(c.tag[:], secret.Prefix)
		fresh = append(fresh, c)
	}
	return fresh
}

func (r *keyring) drop(c *credential) {
	delete(r.byID, c.id)
	if r.byTag[c.tag] == c {
		delete(r.byTag, c.tag)
	}
	for _, s := range c.seats {
		s.leave()
	}
}

// find returns the credential of a key, or nil.
func (r *keyring) find(id int64) *credential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// tagged returns the credential that a salt names, or nil.
func (r *keyring) tagged(salt []byte) *credential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byTag[prefixTag(salt)]
}

// candidates appends the first maxTrial credentials at a slot.
func (r *keyring) candidates(dst []*credential, slot int) []*credential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	anchors := r.slots[slot]
	for _, anchor := range anchors {
		room := len(dst) + (maxTrial-len(dst))/len(anchors)
		for s := anchor.next; s != anchor && len(dst) < room; s = s.next {
			dst = append(dst, s.credential)
		}
		anchors = anchors[1:]
	}
	return dst
}

// used moves a credential that a trial found to the front of its buckets.
func (r *keyring) used(c *credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[c.id] != c {
		return
	}
	for i, s := range c.seats {
		s.leave()
		anchors := r.ranges[i]
		s.sitBehind(anchors[accesskey.Port(0, len(anchors), c.id)])
	}
}
