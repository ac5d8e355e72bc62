package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"strconv"
	"sync"
	"time"

	"stile/vpn"
	"stile/wire"
)

const (
	// CertificateLife is how long a node's certificate holds. Nodes renew theirs when a third is left.
	CertificateLife = 90 * 24 * time.Hour
	// authorityLife outlives what it signs by far: nodes trust the CA's key, not its dates.
	authorityLife = 50 * 365 * 24 * time.Hour
	// clockSlack is how far back a certificate begins, for nodes whose clock is behind.
	clockSlack = time.Hour
)

// Authority is the CA of the link: it certifies the nodes, and the control plane to them. Ed25519 throughout: small
// certificates, and both ends are ours.
type Authority struct {
	certificate *x509.Certificate
	key         ed25519.PrivateKey
	now         func() time.Time

	mu     sync.Mutex
	server *tls.Certificate // nil: not made yet
}

// AuthorityStore is where the CA is kept, in the one database of all replicas.
type AuthorityStore interface {
	// Authority returns the CA, or vpn.ErrNotFound.
	Authority(ctx context.Context) (vpn.Authority, error)
	// KeepAuthority keeps a CA unless there is one, and returns the one that is kept.
	KeepAuthority(ctx context.Context, a vpn.Authority) (vpn.Authority, error)
}

// OpenAuthority returns the CA of a database, made at the first call, and the URL where nodes find the service ("" when
// it never listened for them). now defaults to time.Now.
func OpenAuthority(ctx context.Context, store AuthorityStore, now func() time.Time) (*Authority, string, error) {
	if now == nil {
		now = time.Now
	}
	kept, err := store.Authority(ctx)
	if errors.Is(err, vpn.ErrNotFound) {
		var made vpn.Authority
		if made, err = makeAuthority(now()); err == nil {
			kept, err = store.KeepAuthority(ctx, made)
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("hub: authority: %w", err)
	}
	a := &Authority{now: now}
	if a.certificate, err = x509.ParseCertificate(kept.Certificate); err != nil {
		return nil, "", fmt.Errorf("hub: certificate of the authority: %w", err)
	}
	key, err := x509.ParsePKCS8PrivateKey(kept.PrivateKey)
	if err != nil {
		return nil, "", fmt.Errorf("hub: key of the authority: %w", err)
	}
	var ok bool
	if a.key, ok = key.(ed25519.PrivateKey); !ok {
		return nil, "", fmt.Errorf("hub: key of the authority is %T", key)
	}
	return a, kept.URL, nil
}

func makeAuthority(now time.Time) (vpn.Authority, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return vpn.Authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Stile nodes"},
		NotBefore: now.Add(-clockSlack), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return vpn.Authority{}, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	return vpn.Authority{Certificate: certificate, PrivateKey: key}, err
}

// serial is random: nothing counts certificates.
func serial() *big.Int {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails
	return new(big.Int).SetBytes(b[:])
}

// Certificate is the CA's own (DER).
func (a *Authority) Certificate() []byte { return a.certificate.Raw }

// Pin is what join tokens carry: SHA-256 of the CA's subject public key info.
func (a *Authority) Pin() [32]byte { return sha256.Sum256(a.certificate.RawSubjectPublicKeyInfo) }

// nodeKeyHash is how a node's key is known.
func nodeKeyHash(spki []byte) vpn.NodeKeyHash { return sha256.Sum256(spki) }

// errRequest says that a certificate request is none that a node makes.
var errRequest = errors.New("not a certificate request of a node")

// parseRequest checks that who asks holds the key, and returns the key.
func parseRequest(der []byte) (ed25519.PublicKey, vpn.NodeKeyHash, error) {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil || request.CheckSignature() != nil {
		return nil, vpn.NodeKeyHash{}, errRequest
	}
	key, ok := request.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, vpn.NodeKeyHash{}, errRequest
	}
	return key, nodeKeyHash(request.RawSubjectPublicKeyInfo), nil
}

// CertifyNode signs a certificate (DER) that says: this is the key of that node. Nothing of a request but its key gets in.
func (a *Authority) CertifyNode(nodeID int64, key ed25519.PublicKey, until time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: a.now().Add(-clockSlack), NotAfter: until,
		URIs:     []*url.URL{{Scheme: "node", Opaque: strconv.FormatInt(nodeID, 10)}},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	return x509.CreateCertificate(rand.Reader, template, a.certificate, key, a.key)
}

// nodeOf returns whom a verified certificate names.
func nodeOf(c *x509.Certificate) (nodeID int64, key vpn.NodeKeyHash, err error) {
	if len(c.URIs) != 1 || c.URIs[0].Scheme != "node" {
		return 0, key, errors.New("hub: the certificate names no node")
	}
	nodeID, err = strconv.ParseInt(c.URIs[0].Opaque, 10, 64)
	if err != nil || nodeID <= 0 {
		return 0, key, fmt.Errorf("hub: the certificate names node %q", c.URIs[0].Opaque)
	}
	return nodeID, nodeKeyHash(c.RawSubjectPublicKeyInfo), nil
}

// serverCertificate is the control plane's own, made when it is first asked for and again when a third of its life is
// left. Its key never leaves the process. The CA's certificate is not sent along: nodes have it.
func (a *Authority) serverCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.server != nil && a.server.Leaf.NotAfter.Sub(now) > CertificateLife/3 {
		return a.server, nil
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-clockSlack), NotAfter: now.Add(CertificateLife), DNSNames: []string{wire.ControlName},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a.server = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
	return a.server, nil
}

// tlsConfig is the listener's: TLS 1.3, and a certificate of ours if there is one. Joining needs none. Sessions are not
// resumed: a ticket would carry the node's certificate and save nothing.
func (a *Authority) tlsConfig() *tls.Config {
	nodes := x509.NewCertPool()
	nodes.AddCert(a.certificate)
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: nodes,
		CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true, Time: a.now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.serverCertificate() },
	}
}
