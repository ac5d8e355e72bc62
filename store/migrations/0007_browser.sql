-- Sessions of the dashboard in browsers. They are no devices, and of their use the day is kept.
CREATE TABLE browser (
    id            {{id}},
    user_id       BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    hash          {{bytes}} NOT NULL,
    last_used_day BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX browser_hash ON browser (hash);
CREATE INDEX browser_user ON browser (user_id);
