-- Which history the database is of. "value" only rises, with every return to an earlier state. "mark" counts what was
-- written, on SQLite: the high-water file beside the database tells how far that was. "origin" is the PostgreSQL cluster
-- with its timeline.
CREATE TABLE epoch (
    id     {{key}},
    value  BIGINT NOT NULL,
    mark   BIGINT NOT NULL,
    origin TEXT NOT NULL
);
INSERT INTO epoch (id, value, mark, origin) VALUES (1, 1, 0, '');

-- The revision up to which tombstones of the node were removed.
ALTER TABLE node_sync ADD COLUMN floor BIGINT NOT NULL DEFAULT 0;

CREATE INDEX access_key_removed ON access_key (server_id, rev) WHERE removed_at > 0;
