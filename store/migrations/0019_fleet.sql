-- The keys that a node holds and does not honour, or cannot hold: ids in ascending order, parted by spaces.
ALTER TABLE node_stream ADD COLUMN refused TEXT NOT NULL DEFAULT '';
