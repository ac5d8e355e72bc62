-- What tokens are good for: words parted by spaces; none = the account's own use, as before.
ALTER TABLE token ADD COLUMN scopes TEXT NOT NULL DEFAULT '';
