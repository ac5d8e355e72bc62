-- What operators set of the service: one row. '' is what is not set.
CREATE TABLE setting (
    id          {{key}},
    brand       TEXT NOT NULL,
    account_url TEXT NOT NULL,
    renew_url   TEXT NOT NULL,
    support_url TEXT NOT NULL,
    sign_up     TEXT NOT NULL,
    mail_from   TEXT NOT NULL,
    updated_at  BIGINT NOT NULL
);
