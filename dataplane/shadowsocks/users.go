package shadowsocks

import (
	"sync"

	"lukechampine.com/blake3"

	"stile/accesskey"
	"stile/dataplane"
)

// identitySize is the length of a user's name in identity headers, in bytes: the first half of a hash of its PSK.
const identitySize = 16

type identity [identitySize]byte

// user is what a plane of AEAD-2022 keeps of a key.
type user struct {
	id       int64
	psk      []byte
	identity identity
	// forgotten is the newest timestamp of what the plane has forgotten of this user; the plane's saltPool holds it.
	forgotten uint64
}

// users finds users by what their identity headers hold.
type users struct {
	method string

	mu         sync.RWMutex
	byID       map[int64]*user
	byIdentity map[identity]*user
}

func newUsers(method string) *users {
	return &users{method: method, byID: make(map[int64]*user), byIdentity: make(map[identity]*user)}
}

// apply follows Plane.Apply. PSKs are derived before the lock is taken, so that connections never wait for it.
func (s *users) apply(put []dataplane.Key, remove []int64, full bool) {
	fresh := s.derive(put)
	s.mu.Lock()
	defer s.mu.Unlock()
	if full {
		kept := make(map[int64]struct{}, len(put))
		for i := range put {
			kept[put[i].ID] = struct{}{}
		}
		for id := range s.byID {
			if _, ok := kept[id]; !ok {
				s.drop(id)
			}
		}
	}
	for _, u := range fresh {
		s.byID[u.id], s.byIdentity[u.identity] = u, u
	}
	for _, id := range remove {
		s.drop(id)
	}
}

// derive returns users of the keys that are not known yet. A key's seed never changes.
func (s *users) derive(put []dataplane.Key) []*user {
	var fresh []*user
	for i := range put {
		if s.knows(put[i].ID) {
			continue
		}
		u := &user{id: put[i].ID, psk: accesskey.Seed(put[i].Seed).PSK(s.method)}
		u.identity = identityOf(u.psk)
		fresh = append(fresh, u)
	}
	return fresh
}

func identityOf(psk []byte) identity {
	hash := blake3.Sum256(psk)
	return identity(hash[:identitySize])
}

func (s *users) drop(id int64) {
	if u := s.byID[id]; u != nil {
		delete(s.byID, id)
		if s.byIdentity[u.identity] == u {
			delete(s.byIdentity, u.identity)
		}
	}
}

func (s *users) knows(id int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byID[id] != nil
}

// find returns the user of an identity, or nil.
func (s *users) find(name identity) *user {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byIdentity[name]
}
