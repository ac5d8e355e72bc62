-- Accounts and tokens brought from another application.

-- "is_imported": the token came from another application; it takes a device slot at the first key it asks for.
ALTER TABLE token ADD COLUMN is_imported BOOLEAN NOT NULL DEFAULT FALSE;

-- Every imported account by the id that it had there: it is the same here unless that was taken.
CREATE TABLE imported_account (
    old_id  {{key}},
    user_id BIGINT NOT NULL REFERENCES account (id) ON DELETE CASCADE
);
CREATE INDEX imported_account_user ON imported_account (user_id);
