package store

import (
	"context"
	"strings"

	"stile/vpn"
	"stile/wire"
)

// Servers implements vpn.ServerStore.
func (s *Store) Servers(ctx context.Context) ([]vpn.Server, error) {
	rows, err := s.read(ctx).rows(`
		SELECT id, name, country_code, city_ru, city_en, latitude, longitude, host, ping_url, tier, capacity, state, protocols,
			shadowsocks_port, shadowsocks_ports, shadowsocks_method, https_port, created_at, updated_at
		FROM server
		ORDER BY id`)
	return list(rows, err, func(row scanner) (v vpn.Server, err error) {
		var protocols string
		err = row.Scan(&v.ID, &v.Name, &v.CountryCode, &v.City.RU, &v.City.EN, &v.Latitude, &v.Longitude, &v.Host, &v.PingURL,
			&v.Tier, &v.Capacity, &v.State, &protocols, &v.ShadowsocksPort, &v.ShadowsocksPorts,
			&v.ShadowsocksMethod, &v.HTTPSPort, instant{&v.CreatedAt}, instant{&v.UpdatedAt})
		for _, p := range strings.Fields(protocols) {
			v.Protocols = append(v.Protocols, vpn.Protocol(p))
		}
		v.Door = s.doors.of(v.ID)
		return v, err
	})
}

// serverValues are the arguments of a server's columns from name to https_port.
func serverValues(v *vpn.Server) []any {
	return []any{
		v.Name, v.CountryCode, v.City.RU, v.City.EN, v.Latitude, v.Longitude, v.Host, v.PingURL, v.Tier, v.Capacity, string(v.State),
		protocolList(v.Protocols), v.ShadowsocksPort, v.ShadowsocksPorts, v.ShadowsocksMethod, v.HTTPSPort,
	}
}

// AddServer implements vpn.ServerStore.
func (s *Store) AddServer(ctx context.Context, v vpn.Server, a vpn.Audit) (vpn.Server, error) {
	err := s.write(ctx, "add server", func(t *tx) error {
		v.CreatedAt, v.UpdatedAt = t.now, t.now
		if err := t.insertServer(&v); err != nil {
			return t.taken(err)
		}
		var empty wire.Digest
		if _, err := t.exec(`
			INSERT INTO node_sync (node_id, epoch, rev, count, digest, removed_at)
			SELECT CAST($1 AS BIGINT), value, 0, 0, $2, 0
			FROM epoch
			WHERE id = 1`, v.ID, empty[:]); err != nil {
			return err
		}
		return t.audit(a, v.ID)
	})
	if err != nil {
		return vpn.Server{}, err
	}
	v.Door = s.doors.of(v.ID)
	return v, nil
}

// insertServer writes a new server's row and sets its id. The first of an epoch gets an id above all that a history may
// have given out that was lost: a machine with a certificate of the lost server, or its keys, must not be another's.
func (t *tx) insertServer(v *vpn.Server) error {
	var epoch, highest int64
	if err := t.row(`
		SELECT value
		FROM epoch
		WHERE id = 1
		{{lock}}`).Scan(&epoch); err != nil {
		return err
	}
	if err := t.row(`
		SELECT COALESCE(MAX(node_id), 0)
		FROM node_sync`).Scan(&highest); err != nil {
		return err
	}
	const columns = `name, country_code, city_ru, city_en, latitude, longitude, host, ping_url, tier, capacity, state, protocols,
				shadowsocks_port, shadowsocks_ports, shadowsocks_method, https_port, created_at, updated_at`
	const marks = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17`
	values := append(serverValues(v), millis(t.now))
	if first := firstServerID(epoch); highest < first {
		v.ID = first
		if _, err := t.exec(`
			INSERT INTO server (`+columns+`, id) {{given}}
			VALUES (`+marks+`, $18)`, append(values, v.ID)...); err != nil {
			return err
		}
		return t.skipIDs("server")
	}
	return t.row(`
			INSERT INTO server (`+columns+`)
			VALUES (`+marks+`)
			RETURNING id`, values...).Scan(&v.ID)
}

// asServed keeps a column of a server, where its node takes configurations: keys name what the node says that it serves.
func asServed(column, value string) string {
	return column + " = CASE WHEN EXISTS (SELECT 1 FROM node_config c WHERE c.node_id = server.id) THEN " + column + " ELSE " + value + " END"
}

// UpdateServer implements vpn.ServerStore.
func (s *Store) UpdateServer(ctx context.Context, v vpn.Server, a vpn.Audit) error {
	return s.write(ctx, "update server", func(t *tx) error {
		var tier int
		if err := one(t.row(`
			SELECT tier
			FROM server
			WHERE id = $1
			{{lock}}`, v.ID), &tier); err != nil {
			return err
		}
		err := t.change(`
			UPDATE server
			SET name = $1, country_code = $2, city_ru = $3, city_en = $4, latitude = $5, longitude = $6, host = $7, ping_url = $8,
				tier = $9, capacity = $10, state = $11, `+asServed("protocols", "$12")+`, `+asServed("shadowsocks_port", "CAST($13 AS BIGINT)")+`,
				`+asServed("shadowsocks_ports", "CAST($14 AS BIGINT)")+`, `+asServed("shadowsocks_method", "$15")+`, `+asServed("https_port", "CAST($16 AS BIGINT)")+`,
				updated_at = $17
			WHERE id = $18`, append(serverValues(&v), millis(t.now), v.ID)...)
		if err != nil {
			return t.taken(err)
		}
		if tier != v.Tier {
			if _, err := t.exec(`
				UPDATE server
				SET due_after = 0
				WHERE id = $1`, v.ID); err != nil {
				return err
			}
		}
		return t.audit(a, v.ID)
	})
}

// RemoveServer implements vpn.ServerStore. The node's position and tombstones stay, so that the node learns of them. Of the keys,
// which may be half a million, some at a time become tombstones; what a process that ends leaves of them, EntombRemoved goes on with.
func (s *Store) RemoveServer(ctx context.Context, id int64, a vpn.Audit) (changed []vpn.NodeRev, err error) {
	if err := s.write(ctx, "remove server", func(t *tx) error {
		if err := t.change(`
			DELETE FROM server
			WHERE id = $1`, id); err != nil {
			return err
		}
		nodes, err := t.lockNodes([]int64{id})
		if err != nil {
			return err
		}
		nodes[id].removedAt = millis(t.now)
		if err := t.saveNodes(nodes); err != nil {
			return err
		}
		return t.audit(a, id)
	}); err != nil {
		return nil, err
	}
	for {
		more, err := s.entombSome(ctx, id)
		if err != nil || more == nil {
			return changed, err
		}
		changed = more
	}
}

// SetServerState implements vpn.ServerStore.
func (s *Store) SetServerState(ctx context.Context, id int64, state vpn.ServerState, a vpn.Audit) error {
	return s.write(ctx, "set server state", func(t *tx) error {
		if err := t.change(`
			UPDATE server
			SET state = $2, updated_at = $3
			WHERE id = $1`, id, string(state), millis(t.now)); err != nil {
			return err
		}
		return t.audit(a, id)
	})
}
