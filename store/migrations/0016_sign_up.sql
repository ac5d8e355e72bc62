-- Until when the tries of a second factor's codes so far would be done at the allowed rate.
ALTER TABLE second_factor ADD COLUMN tries_until BIGINT NOT NULL DEFAULT 0;

-- Invitations to make an account, each for one. "email" is whom it is for, '' = anybody; "plan_id" what it gives, 0 = nothing.
CREATE TABLE invitation (
    id         {{id}},
    hash       {{bytes}} NOT NULL,
    email      TEXT NOT NULL,
    plan_id    BIGINT NOT NULL,
    periods    BIGINT NOT NULL,
    note       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT NOT NULL,
    user_id    BIGINT NOT NULL
);
CREATE UNIQUE INDEX invitation_hash ON invitation (hash);

-- Sign-ups whose mail is not answered yet, by the hash of what stands in it. The codes are hashes of what was given, empty =
-- none.
CREATE TABLE pending_sign_up (
    id         {{id}},
    hash       {{bytes}} NOT NULL,
    email      TEXT NOT NULL,
    locale     TEXT NOT NULL,
    invitation {{bytes}} NOT NULL,
    voucher    {{bytes}} NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX pending_sign_up_hash ON pending_sign_up (hash);
CREATE INDEX pending_sign_up_email ON pending_sign_up (email);
CREATE INDEX pending_sign_up_expires ON pending_sign_up (expires_at);

-- Passkeys (WebAuthn): "credential" names it, "public_key" is in COSE's form (RFC 9052), "sign_count" the authenticator's
-- counter when it was used last. Of its use the day is kept.
CREATE TABLE passkey (
    id            {{id}},
    user_id       BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    credential    {{bytes}} NOT NULL,
    public_key    {{bytes}} NOT NULL,
    sign_count    BIGINT NOT NULL,
    is_synced     BOOLEAN NOT NULL,
    name          TEXT NOT NULL,
    last_used_day BIGINT NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE UNIQUE INDEX passkey_credential ON passkey (credential);
CREATE INDEX passkey_user ON passkey (user_id);

-- Challenges that were answered, so that no answer counts twice; they go when the challenge is too old anyway.
CREATE TABLE answered_challenge (
    hash       {{bytes}} PRIMARY KEY,
    expires_at BIGINT NOT NULL
){{clustered}};
CREATE INDEX answered_challenge_expires ON answered_challenge (expires_at);

-- What is told of one's own safety goes out by mail as well.
INSERT INTO webhook_event (pattern, webhook_id)
VALUES ('user.second_factor_reset', 0), ('user.passkeys_reset', 0), ('user.passkey_add', 0);
