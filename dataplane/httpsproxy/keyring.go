package httpsproxy

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"sync"

	"stile/accesskey"
	"stile/dataplane"
)

// mark is the beginning of a secret's SHA-256: what secrets are looked up by.
type mark [16]byte

func markOf(secret string) mark {
	sum := sha256.Sum256([]byte(secret))
	return mark(sum[:])
}

// credential is what the plane keeps of a key.
type credential struct {
	id              int64
	password, probe mark
}

// keyring finds keys by what clients show: their credentials or their probe name. Looking up costs the same for a known
// and for an unknown one.
type keyring struct {
	door accesskey.Door

	mu         sync.RWMutex
	byID       map[int64]*credential
	byPassword map[mark]*credential
	byProbe    map[mark]*credential
}

func newKeyring(door accesskey.Door) *keyring {
	return &keyring{
		door: door, byID: make(map[int64]*credential),
		byPassword: make(map[mark]*credential), byProbe: make(map[mark]*credential),
	}
}

// apply follows Plane.Apply. Credentials are derived before the lock is taken, so that requests never wait for it.
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
			r.byID[c.id], r.byPassword[c.password], r.byProbe[c.probe] = c, c, c
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
		if r.has(put[i].ID) {
			continue
		}
		secret := accesskey.Seed(put[i].Seed).HTTPS(r.door)
		fresh = append(fresh, &credential{
			id: put[i].ID, password: markOf(secret.Username + ":" + secret.Password), probe: markOf(secret.Probe),
		})
	}
	return fresh
}

func (r *keyring) has(id int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id] != nil
}

func (r *keyring) drop(c *credential) {
	delete(r.byID, c.id)
	delete(r.byPassword, c.password)
	delete(r.byProbe, c.probe)
}

// judge reads the value of a Proxy-Authorization header (RFC 7617). keyID is the live key that it belongs to, or 0;
// issued reports that it was issued for this server, now or once. Every value costs the same work, whatever it names.
func (r *keyring) judge(header string) (keyID int64, issued bool) {
	pair := decodeBasic(header)
	username, password, _ := strings.Cut(pair, ":")
	issued = r.door.Issued(username, password)
	known := markOf(pair)
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.byPassword[known]; c != nil {
		keyID = c.id
	}
	return keyID, issued
}

// decodeBasic returns user:password, or "" for anything else.
func decodeBasic(header string) string {
	scheme, encoded, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimLeft(encoded, " "))
	if !strings.EqualFold(scheme, "Basic") || err != nil {
		return ""
	}
	return string(raw)
}

// isProbe reports whether a host is the probe name of a live key.
func (r *keyring) isProbe(host string) bool {
	known := markOf(strings.ToLower(host))
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byProbe[known] != nil
}
