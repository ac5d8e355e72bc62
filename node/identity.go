package node

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stile/wire"
)

const (
	identityName = "identity.json"
	joiningName  = "joining.json" // the key of a redemption whose answer has not come yet
)

// ErrNoIdentity says that a directory holds no identity: no node has joined from it.
var ErrNoIdentity = errors.New("this machine has not joined")

// Identity is who a node is, and whom it trusts. It is one file, replaced as a whole.
type Identity struct {
	NodeID int64 `json:"node_id"`
	// URL is where the control plane listens for nodes.
	URL string `json:"url"`
	// Key is the node's private key (PKCS #8, DER), made on this machine; it never leaves it.
	Key []byte `json:"key"`
	// Pin is SHA-256 of the CA's subject public key info, as the join token said.
	Pin []byte `json:"pin"`
	wire.Membership
	// IsRefused: the control plane has shut this node out. It carries nothing until it joins anew.
	IsRefused bool `json:"is_refused,omitempty"`
}

// LoadIdentity reads the identity of a directory. ErrNoIdentity.
func LoadIdentity(dir string) (*Identity, error) {
	var id Identity
	err := loadJSON(filepath.Join(dir, identityName), &id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoIdentity
	}
	if err != nil {
		return nil, fmt.Errorf("node: identity: %w", err)
	}
	if _, _, err := id.parse(); err != nil {
		return nil, fmt.Errorf("node: %s: %w (restore it from a backup, or join again)", filepath.Join(dir, identityName), err)
	}
	return &id, nil
}

// Save replaces the identity of a directory.
func (id *Identity) Save(dir string) error {
	if err := saveJSON(filepath.Join(dir, identityName), id); err != nil {
		return fmt.Errorf("node: identity: %w", err)
	}
	return nil
}

// StateDir names the directory of a loaded identity's state within dir. A node that joins another control plane, where the same
// numbers mean other keys, begins with an empty one.
func (id *Identity) StateDir(dir string) string {
	return filepath.Join(dir, fmt.Sprintf("state-%d-%x", id.NodeID, id.Pin[:4]))
}

// CertifiedUntil is when the node's certificate ends.
func (id *Identity) CertifiedUntil() (time.Time, error) {
	_, leaf, err := id.parse()
	if err != nil {
		return time.Time{}, err
	}
	return leaf.NotAfter, nil
}

// parse checks that the parts belong together.
func (id *Identity) parse() (tls.Certificate, *x509.Certificate, error) {
	var none tls.Certificate
	key, err := parseKey(id.Key)
	if err != nil {
		return none, nil, err
	}
	leaf, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		return none, nil, fmt.Errorf("certificate: %w", err)
	}
	if public, ok := leaf.PublicKey.(ed25519.PublicKey); !ok || !public.Equal(key.Public()) {
		return none, nil, errors.New("the certificate is not for the key")
	}
	if _, err := id.authority(); err != nil {
		return none, nil, err
	}
	if id.NodeID <= 0 || wire.CheckNodesURL(id.URL) != nil {
		return none, nil, errors.New("the node's id or the control plane's address is missing")
	}
	return tls.Certificate{Certificate: [][]byte{id.Certificate}, PrivateKey: key, Leaf: leaf}, leaf, nil
}

// authority is the CA that the node trusts.
func (id *Identity) authority() (*x509.Certificate, error) {
	if len(id.Pin) != sha256.Size {
		return nil, errPin
	}
	return checkAuthority(id.Authority, [sha256.Size]byte(id.Pin))
}

func parseKey(der []byte) (ed25519.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key: %T is not one that nodes have", parsed)
	}
	return key, nil
}

// errPin says that somebody else answers.
var errPin = errors.New("the certificate is not of the control plane that the token names")

// checkAuthority parses a CA's certificate if it has the pinned key.
func checkAuthority(der []byte, pin [32]byte) (*x509.Certificate, error) {
	authority, err := x509.ParseCertificate(der)
	if err != nil || sha256.Sum256(authority.RawSubjectPublicKeyInfo) != pin {
		return nil, errPin
	}
	return authority, nil
}

// request is the certificate request for a key.
func request(key ed25519.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// joining is a redemption under way: asking again with the same key is allowed, with another one it is not.
type joining struct {
	// Token is SHA-256 of the token's secret.
	Token []byte `json:"token"`
	Key   []byte `json:"key"`
}

// joiningKey returns the key with which a token is redeemed, durably kept before it is used.
func joiningKey(dir string, t *wire.JoinToken) (ed25519.PrivateKey, []byte, error) {
	hash := sha256.Sum256(t.Secret[:])
	var j joining
	if err := loadJSON(filepath.Join(dir, joiningName), &j); err == nil && string(j.Token) == string(hash[:]) {
		if key, err := parseKey(j.Key); err == nil {
			return key, j.Key, nil
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, der, saveJSON(filepath.Join(dir, joiningName), joining{Token: hash[:], Key: der})
}

func loadJSON(path string, to any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, to)
}

func saveJSON(path string, from any) error {
	raw, err := json.MarshalIndent(from, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return writeWhole(path, append(raw, '\n'), fsync)
}
