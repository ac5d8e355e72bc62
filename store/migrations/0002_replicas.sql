-- What the processes that serve one database tell each other of the nodes' streams. Only PostgreSQL has such processes; in
-- SQLite both tables stay empty.

-- The newest stream of each node. "session" orders a node's streams: the highest is the newest, whichever replica has it.
-- "applied_rev" is what the node acknowledged in this very stream; "seen_at" is when it last said how it is. The counts are
-- of this moment only, so they stay out of the write-ahead log and of what is copied from it.
CREATE {{passing}}TABLE node_stream (
    node_id     {{key}},
    session     BIGINT NOT NULL,
    replica     BIGINT NOT NULL,
    is_online   BOOLEAN NOT NULL,
    epoch       BIGINT NOT NULL,
    applied_rev BIGINT NOT NULL,
    version     TEXT NOT NULL,
    load        BIGINT NOT NULL,
    active      BIGINT NOT NULL,
    sessions    BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL
);

-- The processes. One that says nothing for a while has no stream any more. "beat_at" is by the database's own clock.
CREATE {{passing}}TABLE replica (
    id      {{key}},
    beat_at BIGINT NOT NULL
);
