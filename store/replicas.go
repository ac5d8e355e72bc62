package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"stile/vpn"
)

// The channels of notices, each with a list of nodes.
const (
	keysChannel    = "stile_keys"
	streamsChannel = "stile_streams"
)

const (
	// replicaConns is for what replicas tell and read of each other: never in a write transaction, whose commit a NOTIFY
	// would slow down. One tells, one reads, and the others are for claims, of which thousands may come at once.
	replicaConns = 4
	claimConns   = 2
	// maxPublished bounds the rows of one statement.
	maxPublished = 1000
	// listenPause is waited after the end of a connection, and awayFor after an attempt in vain.
	listenPause = 100 * time.Millisecond
)

// databaseMillis is the database's clock, the one that all replicas share.
const databaseMillis = `(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT`

// replicas is a vpn.Replicas on PostgreSQL.
type replicas struct {
	db     *sql.DB
	away   *far
	listen *pgx.ConnConfig
	log    *slog.Logger
	claims chan struct{} // a place for each that is under way
}

// Replicas returns the way to the other processes that serve this database, or nil where there can be none: on SQLite.
func (s *Store) Replicas() vpn.Replicas {
	if s.replicas == nil {
		return nil
	}
	return s.replicas
}

// openReplicas prepares what replicas need besides the store's own connections. Nothing connects before it is used:
// commands beside the service do not.
func (s *Store) openReplicas(dsn string, log *slog.Logger) error {
	config, err := postgresConfig(dsn)
	if err != nil {
		return err
	}
	listen := config.Copy()
	listen.RuntimeParams["application_name"] = "stile listen"
	// What is told is told again or read again: no disk is waited for.
	config.RuntimeParams["synchronous_commit"] = "off"
	impatiently(&config.Config, lookupWait)
	db := sql.OpenDB(farConnector{stdlib.GetConnector(*config), s.away, &config.Config})
	db.SetMaxOpenConns(replicaConns)
	db.SetMaxIdleConns(replicaConns)
	s.pools = append(s.pools, db)
	s.replicas = &replicas{db: db, away: s.away, listen: listen, log: log, claims: make(chan struct{}, claimConns)}
	return nil
}

// Renew implements vpn.Replicas. It forgets replicas that are long gone.
func (r *replicas) Renew(ctx context.Context, replica int64) error {
	_, err := r.db.ExecContext(ctx, `
		WITH gone AS (
			DELETE FROM replica
			WHERE beat_at < `+databaseMillis+` - 86400000
				AND id <> $1
		)
		INSERT INTO replica (id, beat_at)
		VALUES ($1, `+databaseMillis+`)
		ON CONFLICT (id) DO UPDATE
		SET beat_at = excluded.beat_at`, replica)
	return err
}

// isLeased is the condition on a stream "s" that its replica lives; it takes vpn.ReplicaLease in milliseconds as $1.
const isLeased = `EXISTS (
		SELECT 1
		FROM replica r
		WHERE r.id = s.replica
			AND r.beat_at > ` + databaseMillis + ` - $1::BIGINT
	)`

// Claim implements vpn.Replicas. A session is the microsecond of its claim, or one more than the session before: so it
// rises also when the table was emptied, as PostgreSQL does after a crash, or restored.
func (r *replicas) Claim(ctx context.Context, nodeID, replica int64) (session int64, isOnline bool, err error) {
	select {
	case r.claims <- struct{}{}:
		defer func() { <-r.claims }()
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	err = r.db.QueryRowContext(ctx, `
		INSERT INTO node_stream AS s (node_id, session, replica, is_online, epoch, applied_rev, version, load, active, sessions, seen_at,
			refused)
		VALUES ($2, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::BIGINT, $3, FALSE, 0, 0, '', 0, 0, 0, 0, '')
		ON CONFLICT (node_id) DO UPDATE
		SET session = GREATEST(s.session + 1, excluded.session), replica = excluded.replica, epoch = 0, applied_rev = 0, refused = '',
			is_online = s.is_online AND `+isLeased+`
		RETURNING session, is_online`, vpn.ReplicaLease.Milliseconds(), nodeID, replica).Scan(&session, &isOnline)
	return session, isOnline, err
}

// Publish implements vpn.Replicas. Rows are taken in the order of the nodes' ids, so that replicas never wait for each
// other in a circle.
func (r *replicas) Publish(ctx context.Context, streams []vpn.NodeStream, tell bool) (lost []int64, err error) {
	streams = slices.SortedFunc(slices.Values(streams), func(a, b vpn.NodeStream) int { return cmp.Compare(a.NodeID, b.NodeID) })
	for chunk := range slices.Chunk(streams, maxPublished) {
		gone, err := r.publish(ctx, chunk, tell)
		if err != nil {
			return lost, err
		}
		lost = append(lost, gone...)
	}
	return lost, nil
}

// publish is Publish for few streams. The notice is part of the statement: it arrives when the rows can be read, and
// notices arrive in the order of the commits.
func (r *replicas) publish(ctx context.Context, streams []vpn.NodeStream, tell bool) (lost []int64, err error) {
	n := len(streams)
	ids, sessions, owners, online := make([]int64, n), make([]int64, n), make([]int64, n), make([]bool, n)
	epochs, applied, versions := make([]int64, n), make([]int64, n), make([]string, n)
	loads, active, open, seen := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	refused := make([]string, n)
	for i := range streams {
		s := &streams[i]
		ids[i], sessions[i], owners[i], online[i] = s.NodeID, s.Session, s.Replica, s.IsOnline
		epochs[i], applied[i], versions[i] = s.Epoch, s.Applied, s.Version
		loads[i], active[i], open[i], seen[i] = int64(s.Load), int64(s.ActiveDevices), int64(s.Sessions), millis(s.At)
		refused[i] = string(s.Refused)
	}
	var notice string
	if tell {
		notice = encodeNotice(streams[0].Replica, ids)
	}
	rows, err := r.db.QueryContext(ctx, `
		WITH published AS (
			INSERT INTO node_stream AS s (node_id, session, replica, is_online, epoch, applied_rev, version, load, active, sessions, seen_at,
				refused)
			SELECT *
			FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BOOLEAN[], $5::BIGINT[], $6::BIGINT[], $7::TEXT[],
				$8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $12::TEXT[])
			ON CONFLICT (node_id) DO UPDATE
			SET session = excluded.session, replica = excluded.replica, is_online = excluded.is_online, epoch = excluded.epoch,
				applied_rev = excluded.applied_rev, version = excluded.version, load = excluded.load, active = excluded.active,
				sessions = excluded.sessions, seen_at = excluded.seen_at, refused = excluded.refused
			WHERE s.session <= excluded.session
			RETURNING node_id
		), told AS (
			SELECT CASE WHEN $13 <> '' THEN pg_notify('`+streamsChannel+`', $13)::TEXT END
		)
		SELECT node_id
		FROM told
		LEFT JOIN published ON TRUE`, ids, sessions, owners, online, epochs, applied, versions, loads, active, open, seen, refused, notice)
	kept := make(map[int64]bool, n)
	err = each(rows, err, func(row scanner) error {
		var id sql.NullInt64
		err := row.Scan(&id)
		kept[id.Int64] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(ids, func(id int64) bool { return kept[id] }), nil
}

const streamQuery = `
	SELECT s.node_id, s.session, s.replica, s.is_online AND ` + isLeased + `,
		s.epoch, s.applied_rev, s.version, s.load, s.active, s.sessions, s.seen_at, s.refused
	FROM node_stream s`

// Streams implements vpn.Replicas.
func (r *replicas) Streams(ctx context.Context, nodeIDs ...int64) ([]vpn.NodeStream, error) {
	query, args := streamQuery, []any{vpn.ReplicaLease.Milliseconds()}
	if len(nodeIDs) > 0 {
		query += `
	WHERE s.node_id = ANY ($2::BIGINT[])`
		args = append(args, nodeIDs)
	}
	rows, err := r.db.QueryContext(ctx, query, args...)
	return list(rows, err, scanStream)
}

// Wake implements vpn.Replicas.
func (r *replicas) Wake(ctx context.Context, replica int64, nodeIDs []int64) error {
	_, err := r.db.ExecContext(ctx, "SELECT pg_notify('"+keysChannel+"', $1)", encodeNotice(replica, nodeIDs))
	return err
}

// Listen implements vpn.Replicas. It has a connection of its own and makes another one when that breaks.
func (r *replicas) Listen(ctx context.Context, replica int64, heard func(vpn.ReplicaNotice)) {
	for ctx.Err() == nil {
		pause := listenPause
		if err := r.listenOnce(ctx, replica, heard); err != nil && ctx.Err() == nil {
			r.log.Warn("other replicas are not heard until the next attempt", "error", err)
			if errors.As(err, new(*unreached)) {
				pause = awayFor
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (r *replicas) listenOnce(ctx context.Context, replica int64, heard func(vpn.ReplicaNotice)) (err error) {
	var conn *pgx.Conn
	err = r.away.connect(ctx, &r.listen.Config, func() (err error) {
		conn, err = pgx.ConnectConfig(ctx, r.listen)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "LISTEN "+keysChannel+"; LISTEN "+streamsChannel); err != nil {
		return err
	}
	heard(vpn.ReplicaNotice{IsAll: true}) // of what was said before
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		from, ids, isList := decodeNotice(n.Payload)
		switch {
		case from == replica:
		case !isList:
			heard(vpn.ReplicaNotice{IsAll: true})
		case n.Channel == keysChannel:
			heard(vpn.ReplicaNotice{Keys: ids})
		default:
			heard(vpn.ReplicaNotice{Streams: ids})
		}
	}
}
