-- The CA of the link to the nodes, made once. "key" is its private key, sealed. "url" is what join tokens say of where
-- the service listens for nodes.
CREATE TABLE node_authority (
    id          {{key}},
    certificate {{bytes}} NOT NULL,
    key         {{bytes}} NOT NULL,
    url         TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

-- Servers whose node is, or may be, on another machine. "key_hash" names the key with which the node joined, and is
-- empty before; of the token only its hash is kept, and it is empty once the node is revoked.
CREATE TABLE node_identity (
    node_id          {{key}} REFERENCES server (id) ON DELETE CASCADE,
    key_hash         {{bytes}} NOT NULL,
    joined_at        BIGINT NOT NULL,
    revoked_at       BIGINT NOT NULL,
    certified_until  BIGINT NOT NULL,
    token_hash       {{bytes}} NOT NULL,
    token_expires_at BIGINT NOT NULL,
    token_used_at    BIGINT NOT NULL
);

-- How nodes on other machines were when they last said so; "rev" is what they have applied. Written every few seconds by
-- the process that holds a node's link. "is_online" is stale when "seen_at" is.
CREATE TABLE node_status (
    node_id     {{key}} REFERENCES node_identity (node_id) ON DELETE CASCADE,
    is_online   BOOLEAN NOT NULL,
    seen_at     BIGINT NOT NULL,
    rev         BIGINT NOT NULL,
    version     TEXT NOT NULL,
    load        BIGINT NOT NULL,
    sessions    BIGINT NOT NULL,
    active_keys BIGINT NOT NULL
);
