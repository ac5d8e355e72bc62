-- Plans that begin with their first use, and plans that follow others; what subscriptions are extended for.

ALTER TABLE plan ADD COLUMN starts_at_first_use BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE plan ADD COLUMN next_plan_id BIGINT NOT NULL DEFAULT 0;

-- "pending_days" is the length of a subscription that has not begun; 0 = it has.
ALTER TABLE subscription ADD COLUMN pending_days BIGINT NOT NULL DEFAULT 0;
CREATE INDEX subscription_expiry ON subscription (expires_at) WHERE expires_at > 0;

-- Payments that were taken, by the id that the payer's side gave them: each extends a subscription once. The row outlives
-- the account.
CREATE TABLE payment (
    id         TEXT PRIMARY KEY,
    user_id    BIGINT NOT NULL,
    plan_id    BIGINT NOT NULL,
    periods    BIGINT NOT NULL,
    amount     BIGINT NOT NULL,
    currency   TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX payment_user ON payment (user_id);

-- Vouchers: of the code only its hash is kept. "used" counts the rows of voucher_use, so that a use is taken by one
-- conditional statement.
CREATE TABLE voucher (
    id         {{id}},
    hash       {{bytes}} NOT NULL,
    plan_id    BIGINT NOT NULL REFERENCES plan (id),
    periods    BIGINT NOT NULL,
    uses       BIGINT NOT NULL,
    used       BIGINT NOT NULL DEFAULT 0,
    note       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX voucher_hash ON voucher (hash);

CREATE TABLE voucher_use (
    voucher_id BIGINT NOT NULL REFERENCES voucher (id) ON DELETE CASCADE,
    user_id    BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    used_at    BIGINT NOT NULL,
    PRIMARY KEY (voucher_id, user_id)
);
CREATE INDEX voucher_use_user ON voucher_use (user_id);
