-- What administration needs.

-- What tokens are good for: words parted by spaces; none = the account's own use, as before.
ALTER TABLE token ADD COLUMN scopes TEXT NOT NULL DEFAULT '';

-- Accounts are found by the beginning of the e-mail, by state, by role, by plan and by expiry, each in the order of its index.
CREATE INDEX account_email_prefix ON account (email {{bytewise}});
CREATE INDEX account_blocked ON account (id) WHERE status = 'blocked';
CREATE INDEX account_staff ON account (id) WHERE role <> '';
CREATE INDEX subscription_plan_user ON subscription (plan_id, user_id);
CREATE INDEX subscription_expiry_user ON subscription (expires_at, user_id);
CREATE INDEX payment_created ON payment (created_at, id);

-- What was done by and to whom. The keys that devices ask for, which are nearly all entries, stay out of it.
CREATE INDEX audit_actor ON audit (actor_id, id) WHERE action <> 'key.issue';
CREATE INDEX audit_subject ON audit (subject_id, id) WHERE action <> 'key.issue';

-- Traffic of all users per day and node.
CREATE TABLE node_day (
    day     BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    up      BIGINT NOT NULL,
    down    BIGINT NOT NULL,
    PRIMARY KEY (day, node_id)
){{clustered}};

-- Links with which users set a new password, each once; the newest of a user counts.
CREATE TABLE password_reset (
    user_id    {{key}} REFERENCES account (id) ON DELETE CASCADE,
    hash       {{bytes}} NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX password_reset_hash ON password_reset (hash);

-- First answers to requests that may come again, by who asked and the key they gave. "sealed" is the digest of the request and,
-- once it is known, the answer.
CREATE TABLE first_answer (
    user_id    BIGINT NOT NULL,
    name       TEXT NOT NULL,
    sealed     {{bytes}} NOT NULL,
    is_done    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, name)
){{clustered}};
CREATE INDEX first_answer_created ON first_answer (created_at);

-- The chain over the audit log: "sealed" is the hash after entry "last_id", "count" the number of entries up to it.
CREATE TABLE audit_anchor (
    id         {{key}},
    last_id    BIGINT NOT NULL,
    count      BIGINT NOT NULL,
    sealed     {{bytes}} NOT NULL,
    created_at BIGINT NOT NULL
);
