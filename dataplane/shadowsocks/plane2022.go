package shadowsocks

import (
	"context"
	"crypto/cipher"
	"fmt"
	"time"

	"stile/accesskey"
	"stile/dataplane"
)

// Config2022 is what a plane of AEAD-2022 needs. A key works on every port.
type Config2022 struct {
	Config
	// Method is one of accesskey's methods of AEAD-2022. It fixes the sizes of everything that is sent.
	Method string
	// IdentityPSK is the server's own secret, which every client of it knows, of accesskey.PSKSize(Method) bytes.
	IdentityPSK []byte
}

// Plane2022 serves Shadowsocks AEAD-2022 (SIP022) with identity headers (SIP023). It implements dataplane.Plane.
type Plane2022 struct {
	server
	identityPSK   []byte
	identityBlock cipher.Block
	users         *users
	salts         *saltPool
	now           func() time.Time
}

// New2022 listens and returns a plane that Run serves. It fails if a port of the range is busy.
func New2022(ctx context.Context, c Config2022) (*Plane2022, error) {
	return newPlane2022(ctx, c, times2022(defaultTimes()))
}

// times2022 keeps associations at least for as long as one of their packets could be replayed.
func times2022(t times) times {
	t.dns, t.remember = max(t.dns, saltTTL), saltTTL
	return t
}

func newPlane2022(ctx context.Context, c Config2022, t times) (*Plane2022, error) {
	size := accesskey.PSKSize(c.Method)
	if size == 0 {
		return nil, fmt.Errorf("shadowsocks: %q is not a method of AEAD-2022", c.Method)
	}
	if len(c.IdentityPSK) != size {
		return nil, fmt.Errorf("shadowsocks: an identity PSK of %d bytes is required, this one has %d", size, len(c.IdentityPSK))
	}
	p := &Plane2022{
		identityPSK: c.IdentityPSK, identityBlock: newAES(c.IdentityPSK), users: newUsers(c.Method),
		salts: newSaltPool(maxSalts2022, time.Now), now: time.Now,
	}
	if err := p.listen(ctx, c.Config, t, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Protocol is "shadowsocks": to the API the method is a server's, as the ports are.
func (p *Plane2022) Protocol() string { return "shadowsocks" }

// Apply learns and forgets keys, as dataplane.Plane says.
func (p *Plane2022) Apply(put []dataplane.Key, remove []int64, full bool) error {
	p.users.apply(put, remove, full)
	return nil
}

var _ dataplane.Plane = (*Plane2022)(nil)
