-- The port of the server's HTTPS proxy; 0 = it has none.
ALTER TABLE server ADD COLUMN https_port BIGINT NOT NULL DEFAULT 0;
