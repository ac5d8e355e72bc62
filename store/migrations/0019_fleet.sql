-- The keys that a node holds and does not honour, or cannot hold: ids in ascending order, parted by spaces.
ALTER TABLE node_stream ADD COLUMN refused TEXT NOT NULL DEFAULT '';

-- The day of the last report. A row of before is as old as the first time that somebody looks for old ones.
ALTER TABLE usage_cursor ADD COLUMN day BIGINT NOT NULL DEFAULT 0;
