-- The first schema. Instants are unix milliseconds, 0 = none; days are the millisecond of their midnight UTC.
-- Ids that the database hands out are never handed out again.

-- accounts: "devices" counts the rows of table device, so that a slot is taken by one conditional statement.
-- "keys_due" notes that the deadlines or limits of the account's keys may be stale until they are next refreshed.
-- "search_text" is the e-mail and the name in lower case.
CREATE TABLE account (
    id                {{id}},
    name              TEXT NOT NULL,
    email             TEXT NOT NULL,
    search_text       TEXT NOT NULL,
    password_hash     TEXT NOT NULL,
    email_verified_at BIGINT NOT NULL,
    status            TEXT NOT NULL,
    role              TEXT NOT NULL,
    locale            TEXT NOT NULL,
    devices           BIGINT NOT NULL DEFAULT 0,
    keys_due          BOOLEAN NOT NULL DEFAULT FALSE,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX account_email ON account (email);
CREATE INDEX account_operator ON account (id) WHERE role = 'operator';
CREATE INDEX account_keys_due ON account (id) WHERE keys_due;

-- signed-in devices only: a removed device has no row.
CREATE TABLE device (
    id            {{id}},
    user_id       BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    client_id     TEXT NOT NULL,
    name          TEXT NOT NULL,
    platform      TEXT NOT NULL,
    last_seen_day BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX device_client ON device (user_id, client_id);

-- device_id is NULL for an API token.
CREATE TABLE token (
    id            {{id}},
    user_id       BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    device_id     BIGINT REFERENCES device (id) ON DELETE CASCADE,
    hash          {{bytes}} NOT NULL,
    name          TEXT NOT NULL,
    last_used_day BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX token_hash ON token (hash);
CREATE INDEX token_user ON token (user_id);
CREATE INDEX token_device ON token (device_id);

CREATE TABLE plan (
    id               {{id}},
    code             TEXT NOT NULL,
    name_ru          TEXT NOT NULL,
    name_en          TEXT NOT NULL,
    tier             BIGINT NOT NULL,
    period_days      BIGINT NOT NULL,
    grace_days       BIGINT NOT NULL,
    is_trial         BOOLEAN NOT NULL,
    device_limit     BIGINT NOT NULL,
    traffic_limit    BIGINT NOT NULL,
    speed_limit_mbps BIGINT NOT NULL,
    created_at       BIGINT NOT NULL
);
CREATE UNIQUE INDEX plan_code ON plan (code);

CREATE TABLE subscription (
    user_id           {{key}} REFERENCES account (id) ON DELETE CASCADE,
    plan_id           BIGINT NOT NULL REFERENCES plan (id),
    starts_at         BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    used_bytes        BIGINT NOT NULL,
    traffic_resets_at BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE INDEX subscription_plan ON subscription (plan_id);
CREATE INDEX subscription_reset ON subscription (traffic_resets_at) WHERE traffic_resets_at > 0;

-- "protocols" is a list parted by spaces.
CREATE TABLE server (
    id                {{id}},
    name              TEXT NOT NULL,
    country_code      TEXT NOT NULL,
    city_ru           TEXT NOT NULL,
    city_en           TEXT NOT NULL,
    latitude          DOUBLE PRECISION NOT NULL,
    longitude         DOUBLE PRECISION NOT NULL,
    host              TEXT NOT NULL,
    ping_url          TEXT NOT NULL,
    tier              BIGINT NOT NULL,
    capacity          BIGINT NOT NULL,
    state             TEXT NOT NULL,
    protocols         TEXT NOT NULL,
    shadowsocks_port  BIGINT NOT NULL,
    shadowsocks_ports BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL
);
CREATE UNIQUE INDEX server_name ON server (name);

-- Where each node's set of keys stands. The row outlives the server, as its tombstones do. It is the lock under which
-- every key of the node changes; rows are taken in the order of their ids.
CREATE TABLE node_sync (
    node_id    {{key}},
    epoch      BIGINT NOT NULL,
    rev        BIGINT NOT NULL,
    count      BIGINT NOT NULL,
    digest     {{bytes}} NOT NULL,
    removed_at BIGINT NOT NULL
);

-- Keys and tombstones. A tombstone (removed_at > 0) has an empty seed and sum. No foreign keys: tombstones outlive the
-- user, the device and the server. "sum" is what the key adds to its node's digest.
CREATE TABLE access_key (
    id           {{key}},
    user_id      BIGINT NOT NULL,
    device_id    BIGINT NOT NULL,
    server_id    BIGINT NOT NULL,
    seed         {{bytes}} NOT NULL,
    sum          {{bytes}} NOT NULL,
    up_limit     BIGINT NOT NULL,
    down_limit   BIGINT NOT NULL,
    max_sessions BIGINT NOT NULL,
    not_after    BIGINT NOT NULL,
    rev          BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    removed_at   BIGINT NOT NULL
);
CREATE UNIQUE INDEX access_key_live ON access_key (device_id, server_id) WHERE removed_at = 0;
CREATE INDEX access_key_rev ON access_key (server_id, rev);

-- Traffic per user, day and key.
CREATE TABLE usage_day (
    user_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    day     BIGINT NOT NULL,
    key_id  BIGINT NOT NULL,
    up      BIGINT NOT NULL,
    down    BIGINT NOT NULL,
    PRIMARY KEY (user_id, day, key_id)
){{clustered}};

-- The last applied number of each stream of a node's usage reports. A stream's 64 bits are kept as a signed number.
CREATE TABLE usage_cursor (
    node_id BIGINT NOT NULL,
    stream  BIGINT NOT NULL,
    seq     BIGINT NOT NULL,
    PRIMARY KEY (node_id, stream)
){{clustered}};

CREATE TABLE setup_link (
    id         {{key}},
    hash       {{bytes}} NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL
);

CREATE TABLE audit (
    id         {{id}},
    actor_id   BIGINT NOT NULL,
    action     TEXT NOT NULL,
    subject_id BIGINT NOT NULL,
    at         BIGINT NOT NULL
);

-- Ids given out in blocks: next_id is the first that no process owns yet.
CREATE TABLE counter (
    name    TEXT PRIMARY KEY,
    next_id BIGINT NOT NULL
);
INSERT INTO counter (name, next_id) VALUES ('access_key', 1);

-- A known value sealed with the secret of this database, so that a wrong secret is noticed when the database is opened.
CREATE TABLE seal_check (
    id     {{key}},
    sealed {{bytes}} NOT NULL
);
