-- What nodes are configured to serve. Keys name the ports of table "server", which are those that its node says it serves.

-- The newest revision, and the lock under which roll-outs change. A revision is never given out again.
CREATE TABLE rollout_head (
    id  {{key}},
    rev BIGINT NOT NULL
);
INSERT INTO rollout_head (id, rev) VALUES (1, 0);

-- Published configurations. "shadowsocks_port" 0, "shadowsocks_method" '' and "https_port" -1 = as it is on each node. "undoes" is the revision that
-- this one takes back.
CREATE TABLE rollout (
    rev                {{key}},
    state              TEXT NOT NULL,
    stage              BIGINT NOT NULL,
    shadowsocks_port   BIGINT NOT NULL,
    shadowsocks_ports  BIGINT NOT NULL,
    shadowsocks_method TEXT NOT NULL,
    https_port         BIGINT NOT NULL,
    undoes             BIGINT NOT NULL,
    hold               BIGINT NOT NULL,
    keep_old           BIGINT NOT NULL,
    why                TEXT NOT NULL,
    created_at         BIGINT NOT NULL,
    changed_at         BIGINT NOT NULL
);

-- Nodes that take configurations. "rev" and the ports are what the node says that it serves, "refused_rev" what it refused
-- since. The wanted ones are sent to it until it serves or refuses them. "stage" is when the newest roll-out reaches it, 0 =
-- not at all; the ones of before are what it served then.
CREATE TABLE node_config (
    node_id                   {{key}} REFERENCES server (id) ON DELETE CASCADE,
    rev                       BIGINT NOT NULL,
    shadowsocks_port          BIGINT NOT NULL,
    shadowsocks_ports         BIGINT NOT NULL,
    shadowsocks_method        TEXT NOT NULL,
    https_port                BIGINT NOT NULL,
    refused_rev               BIGINT NOT NULL,
    refusal                   TEXT NOT NULL,
    served_at                 BIGINT NOT NULL,
    wanted_rev                BIGINT NOT NULL,
    wanted_shadowsocks_port   BIGINT NOT NULL,
    wanted_shadowsocks_ports  BIGINT NOT NULL,
    wanted_shadowsocks_method TEXT NOT NULL,
    wanted_https_port         BIGINT NOT NULL,
    keep_old                  BIGINT NOT NULL,
    stage                     BIGINT NOT NULL,
    before_shadowsocks_port   BIGINT NOT NULL,
    before_shadowsocks_ports  BIGINT NOT NULL,
    before_shadowsocks_method TEXT NOT NULL,
    before_https_port         BIGINT NOT NULL
);
CREATE INDEX node_config_pending ON node_config (node_id) WHERE wanted_rev > rev AND wanted_rev > refused_rev;
