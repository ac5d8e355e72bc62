package shadowsocks

import (
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
	bucket int
	// Neighbours in the bucket's ring, whose anchor is a credential of its own.
	prev, next *credential
}

// keyring finds credentials: by the tag of a salt, by number, and by bucket for clients that name nothing. A bucket is
// the keys that share a port, those used or added last in front.
type keyring struct {
	mu      sync.RWMutex
	byID    map[int64]*credential
	byTag   map[prefixTag]*credential
	buckets []credential // anchors
}

func newKeyring(buckets int) *keyring {
	r := &keyring{
		byID:    make(map[int64]*credential),
		byTag:   make(map[prefixTag]*credential),
		buckets: make([]credential, buckets),
	}
	for i := range r.buckets {
		r.buckets[i].prev, r.buckets[i].next = &r.buckets[i], &r.buckets[i]
	}
	return r
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
			r.toFront(c)
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
		c := &credential{id: put[i].ID, master: masterKey(secret.Password), bucket: accesskey.Port(0, len(r.buckets), put[i].ID)}
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
	c.prev.next, c.next.prev = c.next, c.prev
	c.prev, c.next = nil, nil
}

// toFront links a credential as the first of its bucket; the caller holds the lock.
func (r *keyring) toFront(c *credential) {
	anchor := &r.buckets[c.bucket]
	if c.next != nil {
		c.prev.next, c.next.prev = c.next, c.prev
	}
	c.prev, c.next = anchor, anchor.next
	anchor.next.prev, anchor.next = c, c
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

// candidates appends the first maxTrial credentials of a bucket.
func (r *keyring) candidates(dst []*credential, bucket int) []*credential {
	r.mu.RLock()
	defer r.mu.RUnlock()
	anchor := &r.buckets[bucket]
	for c := anchor.next; c != anchor && len(dst) < maxTrial; c = c.next {
		dst = append(dst, c)
	}
	return dst
}

// used moves a credential that a trial found to the front of its bucket.
func (r *keyring) used(c *credential) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID[c.id] == c {
		r.toFront(c)
	}
}
