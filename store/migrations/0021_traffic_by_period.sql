-- Traffic of a plan may count for each period instead of each month.
ALTER TABLE plan ADD COLUMN traffic_by_period BOOLEAN NOT NULL DEFAULT FALSE;
