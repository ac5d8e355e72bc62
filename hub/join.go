package hub

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"stile/vpn"
	"stile/wire"
)

// maxCertifying bounds a request for a certificate in bytes. One of a node has 600.
const maxCertifying = 8 << 10

// join redeems a token. The conditional statement behind JoinNode decides who wins; only then is a certificate signed. The body
// is read before there is a place for it, which whoever sends it slowly would keep.
func (l *Listener) join(w http.ResponseWriter, r *http.Request) {
	body := l.body(w, r, maxCertifying)
	if body == nil {
		return
	}
	leave := l.joins.enter(r.Context())
	if leave == nil {
		l.refuseBusy(w, l.joins)
		return
	}
	defer leave()
	var request wire.JoinRequest
	if err := json.Unmarshal(body, &request); err != nil || request.NodeID <= 0 {
		l.refuse(w, http.StatusBadRequest, wire.NodeBadRequest)
		return
	}
	key, hash, err := parseRequest(request.Request)
	if err != nil {
		l.refuse(w, http.StatusBadRequest, wire.NodeBadRequest)
		return
	}
	until := l.certifiedUntil()
	server, err := l.cfg.Members.JoinNode(r.Context(), vpn.Joining{
		NodeID: request.NodeID, Token: sha256.Sum256(request.Secret), Key: hash, CertifiedUntil: until,
	})
	switch {
	case errors.Is(err, vpn.ErrTokenUsed):
		l.refuse(w, http.StatusForbidden, wire.NodeTokenUsed)
	case errors.Is(err, vpn.ErrTokenExpired):
		l.refuse(w, http.StatusForbidden, wire.NodeTokenExpired)
	case errors.Is(err, vpn.ErrNotFound), errors.Is(err, vpn.ErrNotMember):
		l.refuse(w, http.StatusForbidden, wire.NodeTokenUnknown)
	case err != nil:
		l.fail(w, r, "join", request.NodeID, err)
	default:
		l.cfg.Log.Info("a node joined", "node", request.NodeID)
		l.certify(w, r, &server, key, until)
	}
}

// renew certifies a member's key for longer. It must be the key with which the node joined.
func (l *Listener) renew(w http.ResponseWriter, r *http.Request, by caller) {
	body := l.body(w, r, maxCertifying)
	if body == nil {
		return
	}
	var request wire.RenewRequest
	if err := json.Unmarshal(body, &request); err != nil {
		l.refuse(w, http.StatusBadRequest, wire.NodeBadRequest)
		return
	}
	key, hash, err := parseRequest(request.Request)
	if err != nil || hash != by.key {
		l.refuse(w, http.StatusBadRequest, wire.NodeBadRequest)
		return
	}
	until := l.certifiedUntil()
	server, err := l.cfg.Members.RenewNode(r.Context(), by.id, by.key, until)
	switch {
	case errors.Is(err, vpn.ErrNotMember):
		l.refuse(w, http.StatusForbidden, wire.NodeRefused)
	case err != nil:
		l.fail(w, r, "renew", by.id, err)
	default:
		l.certify(w, r, &server, key, until)
	}
}

// certifiedUntil is when a certificate made now ends, in whole seconds as certificates count.
func (l *Listener) certifiedUntil() time.Time {
	return l.cfg.Authority.now().Add(CertificateLife).Truncate(time.Second)
}

func (l *Listener) certify(w http.ResponseWriter, r *http.Request, server *vpn.Server, key []byte, until time.Time) {
	certificate, err := l.cfg.Authority.CertifyNode(server.ID, key, until)
	if err != nil {
		l.fail(w, r, "certify", server.ID, err)
		return
	}
	m := membership(server)
	m.Certificate, m.Authority = certificate, l.cfg.Authority.Certificate()
	l.answer(w, http.StatusOK, m)
}

// self tells a member what it is.
func (l *Listener) self(w http.ResponseWriter, r *http.Request, by caller) {
	server, err := l.cfg.Members.NodeServer(r.Context(), by.id)
	switch {
	case errors.Is(err, vpn.ErrNotMember):
		l.refuse(w, http.StatusForbidden, wire.NodeRefused)
	case err != nil:
		l.fail(w, r, "self", by.id, err)
	default:
		l.answer(w, http.StatusOK, membership(&server))
	}
}

func membership(s *vpn.Server) wire.Membership {
	return wire.Membership{
		Name: s.Name, Host: s.Host, ShadowsocksPort: s.ShadowsocksPort, ShadowsocksPorts: s.ShadowsocksPorts,
		ShadowsocksMethod: s.ShadowsocksMethod, HTTPSPort: s.HTTPSPort, Door: s.Door[:],
	}
}
