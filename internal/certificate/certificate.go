// Package certificate gives a server the TLS certificate that it shows: from a pair of files, which somebody else keeps
// fresh, or from an ACME certificate authority (RFC 8555), which it asks itself. Both are replaced while the server runs,
// and a replacement that fails leaves the old one in place and is logged with what to do.
//
// It listens on nothing: whoever serves takes a tls.Config. It is not for the link between nodes and the control plane,
// which has an authority of its own.
package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"sync/atomic"
	"time"
)

// Source is where a server's certificate comes from.
type Source interface {
	// TLSConfig returns a configuration that shows the present certificate in each handshake, for these application
	// protocols (ALPN) and those that the source needs itself; with none, net/http adds its own.
	TLSConfig(protocols ...string) *tls.Config
	// NotAfter is when the present certificate expires; zero when there is none yet.
	NotAfter() time.Time
	// Run keeps the certificate fresh until ctx ends.
	Run(ctx context.Context) error
}

// errNone refuses handshakes before the first certificate is there.
var errNone = errors.New("certificate: there is none yet")

// holder is a certificate that handshakes read while it is replaced.
type holder struct {
	present atomic.Pointer[tls.Certificate]
}

// get implements tls.Config.GetCertificate. Clients that name no server or another one get it too, as from most servers.
func (h *holder) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := h.present.Load(); c != nil {
		return c, nil
	}
	return nil, errNone
}

// NotAfter is when the present certificate expires; zero when there is none yet.
func (h *holder) NotAfter() time.Time {
	if c := h.present.Load(); c != nil {
		return c.Leaf.NotAfter
	}
	return time.Time{}
}
