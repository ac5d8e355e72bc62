-- Since when a device's subscription address is the one it is; 0 = since the device was made.
ALTER TABLE device ADD COLUMN address_at BIGINT NOT NULL DEFAULT 0;
