package vpn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"
)

const (
	// JoinLife is how long a join token holds.
	JoinLife = time.Hour
	// JoinRetry is how long after its use a token still gives the same key its certificate again: the answer may have been
	// lost.
	JoinRetry = 10 * time.Minute
)

// NodeJoinToken makes the secret with which the node of a server joins, once, within the hour. It replaces the one
// before. A node that has joined stays a member until another has joined in its place. ErrNotFound as CodeNotFound.
func (s *Service) NodeJoinToken(ctx context.Context, a *Actor, serverID int64) (secret [32]byte, expiresAt time.Time, err error) {
	if err := a.may(NounNodes, Write); err != nil {
		return secret, expiresAt, err
	}
	_, _ = rand.Read(secret[:]) // never fails
	expiresAt = s.now().Add(JoinLife)
	err = s.store.SetJoinToken(ctx, serverID, sha256.Sum256(secret[:]), expiresAt, a.audit("node.token", serverID))
	return secret, expiresAt, notFound(err)
}

// JoinNode redeems a token for a node's key and returns the node's server. ErrTokenUsed and ErrTokenExpired to who has
// the token; ErrNotFound otherwise. The same key may redeem its token again within JoinRetry.
func (s *Service) JoinNode(ctx context.Context, j Joining) (Server, error) {
	if err := s.store.RedeemJoin(ctx, j, Audit{Action: "node.join", SubjectID: j.NodeID}); err != nil {
		return Server{}, err
	}
	return s.NodeServer(ctx, j.NodeID)
}

// AdmitNode returns ErrNotMember unless the holder of a key is this node now. It reads the database: what another
// process changed is seen at once.
func (s *Service) AdmitNode(ctx context.Context, nodeID int64, key NodeKeyHash) error {
	n, err := s.store.NodeIdentity(ctx, nodeID)
	switch {
	case errors.Is(err, ErrNotFound):
		return ErrNotMember
	case err != nil:
		return err
	case !n.IsMember(key):
		return ErrNotMember
	}
	return nil
}

// RenewNode notes until when a member's new certificate holds, and returns the node's server. ErrNotMember.
func (s *Service) RenewNode(ctx context.Context, nodeID int64, key NodeKeyHash, until time.Time) (Server, error) {
	err := s.store.SetNodeCertified(ctx, nodeID, key, until)
	if errors.Is(err, ErrNotFound) {
		return Server{}, ErrNotMember
	}
	if err != nil {
		return Server{}, err
	}
	return s.NodeServer(ctx, nodeID)
}

// NodeServer returns the server of a node. ErrNotMember when it was removed.
func (s *Service) NodeServer(ctx context.Context, id int64) (Server, error) {
	servers, err := s.store.Servers(ctx)
	if err != nil {
		return Server{}, err
	}
	for i := range servers {
		if servers[i].ID == id {
			return servers[i], nil
		}
	}
	return Server{}, ErrNotMember // removed meanwhile
}

// RevokeNode shuts a node out, with its key and its token, until it joins anew. CodeNotFound when no node may have
// joined as this server.
func (s *Service) RevokeNode(ctx context.Context, a *Actor, nodeID int64) error {
	if err := a.may(NounNodes, Write); err != nil {
		return err
	}
	return notFound(s.store.RevokeNode(ctx, nodeID, a.audit("node.revoke", nodeID)))
}

// Memberships returns what is known of each node on another machine, in the order of their ids.
func (s *Service) Memberships(ctx context.Context) ([]NodeIdentity, error) {
	return s.store.NodeIdentities(ctx)
}

// NodeReports returns every server's node, in the order of the ids.
func (s *Service) NodeReports(ctx context.Context, a *Actor) ([]NodeReport, error) {
	if err := a.may(NounNodes, Read); err != nil {
		return nil, err
	}
	servers, err := s.store.Servers(ctx)
	if err != nil {
		return nil, err
	}
	identities, err := s.store.NodeIdentities(ctx)
	if err != nil {
		return nil, err
	}
	statuses, err := s.store.NodeStreams(ctx)
	if err != nil {
		return nil, err
	}
	revs, err := s.store.NodeRevs(ctx)
	if err != nil {
		return nil, err
	}
	configured, err := s.store.ConfiguredNodes(ctx)
	if err != nil {
		return nil, err
	}
	reports := make([]NodeReport, len(servers))
	byID := make(map[int64]*NodeReport, len(servers))
	listed := s.listed(servers)
	for i := range servers {
		reports[i].Server, reports[i].Listed, reports[i].Live = servers[i], listed[i], s.nodes.Live(servers[i].ID)
		byID[servers[i].ID] = &reports[i]
	}
	for i := range identities {
		if r := byID[identities[i].NodeID]; r != nil {
			r.Identity = identities[i]
		}
	}
	for i := range statuses {
		if r := byID[statuses[i].NodeID]; r != nil {
			r.Status = statuses[i]
		}
	}
	for i := range configured {
		if r := byID[configured[i].NodeID]; r != nil {
			r.Config = &configured[i]
		}
	}
	for _, n := range revs {
		if r := byID[n.NodeID]; r != nil {
			r.Rev = n.Rev
		}
	}
	return reports, nil
}
