-- The method that the server's Shadowsocks speaks.
ALTER TABLE server ADD COLUMN shadowsocks_method TEXT NOT NULL DEFAULT 'aes-256-gcm';
