package storetest

import (
	"time"

	"stile/vpn"
)

// nodeKey is a node's key that stands for n.
func nodeKey(n int) vpn.NodeKeyHash { return vpn.NodeKeyHash(hash(n)) }

// identity returns what is known of a node.
func (w *world) identity(id int64) vpn.NodeIdentity {
	w.Helper()
	n, err := w.store.NodeIdentity(w.ctx, id)
	w.ok(err)
	return n
}

func authority(w *world) {
	_, err := w.store.Authority(w.ctx)
	w.is(err, vpn.ErrNotFound)
	w.is(w.store.SetNodesURL(w.ctx, "https://a"), vpn.ErrNotFound)
	same := func(what string, got vpn.Authority, err error, want vpn.Authority) {
		w.Helper()
		w.ok(err)
		if string(got.Certificate) != string(want.Certificate) || string(got.PrivateKey) != string(want.PrivateKey) || got.URL != want.URL {
			w.Fatalf("%s: got %+v", what, got)
		}
	}
	first := vpn.Authority{Certificate: []byte("certificate"), PrivateKey: []byte("key")}
	got, err := w.store.KeepAuthority(w.ctx, first)
	same("kept", got, err, first)
	got, err = w.store.KeepAuthority(w.ctx, vpn.Authority{Certificate: []byte("other"), PrivateKey: []byte("other")})
	same("kept by another", got, err, first)
	first.URL = "https://control.example.net:8443"
	w.ok(w.store.SetNodesURL(w.ctx, first.URL))
	got, err = w.store.Authority(w.ctx)
	same("with its URL", got, err, first)
}

// joining redeems the token n of a node for the key n.
func (w *world) joining(id int64, token, key int) error {
	return w.store.RedeemJoin(w.ctx, vpn.Joining{NodeID: id, Token: hash(token), Key: nodeKey(key), CertifiedUntil: today}, by("node.join"))
}

func (w *world) joinToken(id int64, token int, ttl time.Duration) {
	w.Helper()
	w.ok(w.store.SetJoinToken(w.ctx, id, hash(token), time.Now().Add(ttl), by("node.token")))
}

func joinTokens(w *world) {
	server, other := w.server(), w.server()
	w.is(w.store.SetJoinToken(w.ctx, other.ID+1000, hash(1), today, by("node.token")), vpn.ErrNotFound)
	w.is(w.joining(server.ID, 1, 1), vpn.ErrNotFound)
	w.joinToken(server.ID, 1, -time.Second)
	w.is(w.joining(server.ID, 1, 1), vpn.ErrTokenExpired)
	w.joinToken(server.ID, 2, time.Hour)
	w.is(w.joining(server.ID, 1, 1), vpn.ErrNotFound)
	w.is(w.joining(other.ID, 2, 1), vpn.ErrNotFound)
	n := w.identity(server.ID)
	is(w, "joined before", n.JoinedAt.IsZero(), true)
	is(w, "member before", n.IsMember(vpn.NodeKeyHash{}), false)

	w.ok(w.joining(server.ID, 2, 1))
	w.ok(w.joining(server.ID, 2, 1)) // the answer was lost
	w.is(w.joining(server.ID, 2, 2), vpn.ErrTokenUsed)
	n = w.identity(server.ID)
	is(w, "member", n.IsMember(nodeKey(1)), true)
	is(w, "another's key", n.IsMember(nodeKey(2)), false)
	is(w, "certified until", n.CertifiedUntil, today)

	// A new token changes nothing until it is used.
	w.joinToken(server.ID, 3, time.Hour)
	n = w.identity(server.ID)
	is(w, "member", n.IsMember(nodeKey(1)), true)
	w.is(w.joining(server.ID, 2, 1), vpn.ErrNotFound)
	w.ok(w.joining(server.ID, 3, 2))
	n = w.identity(server.ID)
	is(w, "the machine before", n.IsMember(nodeKey(1)), false)
	is(w, "member", n.IsMember(nodeKey(2)), true)
	is(w, "tokens", w.audited("node.token"), 3)
	is(w, "joined", w.audited("node.join"), 3)
}

func joinTokenUnderLoad(w *world) {
	server := w.server()
	w.joinToken(server.ID, 1, time.Hour)
	joined := 0
	for i, err := range together(parallel, func(i int) error { return w.joining(server.ID, 1, 100+i) }) {
		if err != nil {
			w.is(err, vpn.ErrTokenUsed)
			continue
		}
		joined++
		n := w.identity(server.ID)
		is(w, "the one that joined is the member", n.IsMember(nodeKey(100+i)), true)
	}
	is(w, "joined", joined, 1)
	is(w, "entries", w.audited("node.join"), 1)
}

func revokedNode(w *world) {
	server, other := w.server(), w.server()
	w.is(w.store.RevokeNode(w.ctx, server.ID, by("node.revoke")), vpn.ErrNotFound)
	w.joinToken(server.ID, 1, time.Hour)
	w.ok(w.joining(server.ID, 1, 1))
	until := today.Add(time.Hour)
	w.ok(w.store.SetNodeCertified(w.ctx, server.ID, nodeKey(1), until))
	n := w.identity(server.ID)
	is(w, "certified until", n.CertifiedUntil, until)
	w.is(w.store.SetNodeCertified(w.ctx, server.ID, nodeKey(2), until), vpn.ErrNotFound)

	w.ok(w.store.RevokeNode(w.ctx, server.ID, by("node.revoke")))
	n = w.identity(server.ID)
	is(w, "member", n.IsMember(nodeKey(1)), false)
	w.is(w.joining(server.ID, 1, 1), vpn.ErrNotFound) // a retry undoes nothing
	w.is(w.store.SetNodeCertified(w.ctx, server.ID, nodeKey(1), until), vpn.ErrNotFound)
	w.joinToken(server.ID, 2, time.Hour)
	n = w.identity(server.ID)
	is(w, "member", n.IsMember(nodeKey(1)), false)
	w.ok(w.joining(server.ID, 2, 1))
	n = w.identity(server.ID)
	is(w, "member again", n.IsMember(nodeKey(1)), true)

	w.joinToken(other.ID, 3, time.Hour)
	all, err := w.store.NodeIdentities(w.ctx)
	w.ok(err)
	is(w, "nodes", len(all), 2)
	is(w, "the first", all[0], w.identity(server.ID))
	_, err = w.store.RemoveServer(w.ctx, server.ID, by("server.remove"))
	w.ok(err)
	_, err = w.store.NodeIdentity(w.ctx, server.ID)
	w.is(err, vpn.ErrNotFound)
	w.is(w.joining(server.ID, 2, 1), vpn.ErrNotFound)
	is(w, "entries", w.audited("node.revoke"), 1)
}

func nodeStatuses(w *world) {
	server, other := w.server(), w.server()
	first := vpn.NodeStream{NodeID: server.ID, Session: 5, Replica: 9, IsOnline: true, Epoch: 1, Applied: 7, Version: "1.2",
		Load: 30, ActiveDevices: 3, Sessions: 4, At: today, Refused: vpn.NewKeyIDs(70, 7)}
	second := vpn.NodeStream{NodeID: other.ID, Session: 1, At: today}
	are := func(want ...vpn.NodeStream) {
		w.Helper()
		got, err := w.store.NodeStreams(w.ctx)
		w.ok(err)
		is(w, "statuses", len(got), len(want))
		for i, n := range want {
			is(w, "status", got[i], n)
		}
	}
	w.ok(w.store.NoteStreams(w.ctx, []vpn.NodeStream{second, first}))
	are(first, second)
	first.IsOnline, first.At, first.Applied = false, today.Add(time.Minute), 8
	first.Refused = ""
	w.ok(w.store.NoteStreams(w.ctx, []vpn.NodeStream{first}))
	are(first, second)
}
