package store

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"stile/vpn"
	"stile/wire"
)

// node is where a node's set of keys stands, held by the transaction.
type node struct {
	id        int64
	epoch     int64
	rev       int64
	count     int64
	digest    wire.Digest
	removedAt int64
	isChanged bool
}

// advance begins a change: keys that change now carry the new revision.
func (n *node) advance() int64 {
	n.rev++
	n.isChanged = true
	return n.rev
}

// add and remove keep count and digest in step with a live key's row.
func (n *node) add(sum wire.Sum)    { n.count++; n.digest.Add(sum) }
func (n *node) remove(sum wire.Sum) { n.count--; n.digest.Sub(sum) }

const positionColumns = `
	n.epoch, n.rev, n.count, n.digest, n.floor`

// sum32 scans 32 bytes.
type sum32 struct{ to *[32]byte }

var errSum = errors.New("a digest has not 32 bytes")

// Scan implements sql.Scanner.
func (s sum32) Scan(value any) error {
	b, ok := value.([]byte)
	if !ok || len(b) != len(s.to) {
		return errSum
	}
	copy(s.to[:], b)
	return nil
}

var lockNodes = batch{0, `
	SELECT node_id, epoch, rev, count, digest, removed_at
	FROM node_sync
	WHERE node_id IN (`, "?", `)
	ORDER BY node_id
	{{lock}}`}

// lockNodes holds nodes, in the order of their ids, for a change of their keys. Unknown ones are missing in the answer.
func (t *tx) lockNodes(ids []int64) (map[int64]*node, error) {
	nodes := make(map[int64]*node, len(ids))
	return nodes, t.eachOf(&lockNodes, nil, anys(ids), scanNodeInto(nodes))
}

// scanNodeInto notes the rows of lockNodes.
func scanNodeInto(nodes map[int64]*node) func(scanner) error {
	return func(row scanner) error {
		var n node
		err := row.Scan(&n.id, &n.epoch, &n.rev, &n.count, sum32{(*[32]byte)(&n.digest)}, &n.removedAt)
		nodes[n.id] = &n
		return err
	}
}

var saveNodes = batch{0, `
	INSERT INTO node_sync (node_id, epoch, rev, count, digest, removed_at)
	VALUES `, "(?, ?, ?, ?, ?, ?)", `
	ON CONFLICT (node_id) DO UPDATE
	SET rev = excluded.rev, count = excluded.count, digest = excluded.digest, removed_at = excluded.removed_at`}

// saveNodes writes back what lockNodes held.
func (t *tx) saveNodes(nodes map[int64]*node) error {
	return t.execBatch(&saveNodes, nodeValues, nodeRows(nodes))
}

// nodeValues is the number of parameters of a row of saveNodes.
const nodeValues = 6

// nodeRows are the rows of saveNodes for the nodes that changed. A nil node is an unknown one.
func nodeRows(nodes map[int64]*node) (args []any) {
	for _, n := range nodes {
		if n != nil && (n.isChanged || n.removedAt > 0) {
			args = append(args, n.id, n.epoch, n.rev, n.count, n.digest[:], n.removedAt)
		}
	}
	return args
}

// changedNodes lists the nodes that a transaction changed, in the order of their ids.
func changedNodes(nodes map[int64]*node) []vpn.NodeRev {
	var changed []vpn.NodeRev
	for _, n := range nodes {
		if n.isChanged {
			changed = append(changed, vpn.NodeRev{NodeID: n.id, Rev: n.rev})
		}
	}
	slices.SortFunc(changed, func(a, b vpn.NodeRev) int { return cmp.Compare(a.NodeID, b.NodeID) })
	return changed
}

// NodePosition implements vpn.NodeStore. A removed server's node keeps its position.
func (s *Store) NodePosition(ctx context.Context, nodeID int64) (p vpn.NodePosition, err error) {
	return position(s.read(ctx), nodeID)
}

func position(q queries, nodeID int64) (p vpn.NodePosition, err error) {
	err = one(q.row(`
		SELECT`+positionColumns+`
		FROM node_sync n
		WHERE n.node_id = $1`, nodeID), &p.Epoch, &p.Rev, &p.Count, sum32{&p.Digest}, &p.Floor)
	return p, err
}

const nodeKeyColumns = `
	k.id, k.seed, k.up_limit, k.down_limit, k.max_sessions, k.not_after, k.rev, k.removed_at`

// scanNodeKey reads nodeKeyColumns.
func (s *Store) scanNodeKey(row scanner) (vpn.NodeKey, error) {
	var k vpn.NodeKey
	var sealed []byte
	var removedAt int64
	err := row.Scan(&k.ID, &sealed, &k.Limits.UpBytesPerSecond, &k.Limits.DownBytesPerSecond, &k.Limits.MaxSessions,
		instant{&k.NotAfter}, &k.Rev, &removedAt)
	if err != nil {
		return k, err
	}
	if removedAt > 0 {
		return vpn.NodeKey{ID: k.ID, Rev: k.Rev, IsRemoved: true}, nil
	}
	seed, err := s.unseal(sealed, purposeSeed, k.ID)
	copy(k.Seed[:], seed)
	return k, err
}

// NodeChanges implements vpn.NodeStore.
func (s *Store) NodeChanges(ctx context.Context, nodeID, after int64, limit int) (keys []vpn.NodeKey, p vpn.NodePosition, err error) {
	err = s.snapshot(ctx, func(q queries) error {
		if p, err = position(q, nodeID); err != nil || p.Rev <= after {
			return err
		}
		rows, err := q.rows(`
			SELECT`+nodeKeyColumns+`
			FROM access_key k
			WHERE k.server_id = $1
				AND k.rev > $2
				AND k.rev <= (
					SELECT COALESCE(MAX(page.rev), 0)
					FROM (
						SELECT rev
						FROM access_key
						WHERE server_id = $1
							AND rev > $2
						ORDER BY rev
						LIMIT $3
					) AS page
				)
			ORDER BY k.rev, k.id`, nodeID, after, limit)
		keys, err = list(rows, err, s.scanNodeKey)
		return err
	})
	return keys, p, err
}

// NodeSnapshot implements vpn.NodeStore. yield must not call the store: it runs within a reading connection's transaction.
func (s *Store) NodeSnapshot(ctx context.Context, nodeID int64, yield func(vpn.NodeKey) error) (p vpn.NodePosition, err error) {
	err = s.snapshot(ctx, func(q queries) error {
		if p, err = position(q, nodeID); err != nil {
			return err
		}
		rows, err := q.rows(`
			SELECT`+nodeKeyColumns+`
			FROM access_key k
			WHERE k.server_id = $1
			ORDER BY k.id`, nodeID)
		return each(rows, err, func(row scanner) error {
			k, err := s.scanNodeKey(row)
			if err != nil {
				return err
			}
			return yield(k)
		})
	})
	return p, err
}

// NodeRevs implements vpn.NodeStore; nodes of removed servers are among them.
func (s *Store) NodeRevs(ctx context.Context) ([]vpn.NodeRev, error) {
	rows, err := s.read(ctx).rows(`
		SELECT node_id, rev
		FROM node_sync
		ORDER BY node_id`)
	return list(rows, err, func(row scanner) (r vpn.NodeRev, err error) {
		err = row.Scan(&r.NodeID, &r.Rev)
		return r, err
	})
}
