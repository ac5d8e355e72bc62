-- Second factors of sign-ins: time-based codes (RFC 6238). "secret" is sealed, "confirmed_at" 0 until a code of it was
-- given, and "step" the last step of time whose code was taken.
CREATE TABLE second_factor (
    id           {{id}},
    user_id      BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    secret       {{bytes}} NOT NULL,
    step         BIGINT NOT NULL,
    confirmed_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX second_factor_user ON second_factor (user_id);

-- Recovery codes that are not used. Each takes the place of one code.
CREATE TABLE recovery_code (
    id        {{id}},
    factor_id BIGINT NOT NULL REFERENCES second_factor (id) ON DELETE CASCADE,
    hash      {{bytes}} NOT NULL
);
CREATE UNIQUE INDEX recovery_code_hash ON recovery_code (factor_id, hash);
