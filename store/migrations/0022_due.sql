-- Plans and servers that were changed. Whoever has keys by them is noted as due, some at a time: "due_after" is the last account
-- that was, -1 = all are.
ALTER TABLE plan ADD COLUMN due_after BIGINT NOT NULL DEFAULT -1;
ALTER TABLE server ADD COLUMN due_after BIGINT NOT NULL DEFAULT -1;

-- Others of the same columns do what these do. PostgreSQL took the second where it had to read what had ended on all plans.
DROP INDEX subscription_plan;
DROP INDEX subscription_expiry;

-- The refusals of a job, among all accounts that wait. The code is in it, or SQLite would rather read them all.
CREATE INDEX bulk_item_refused ON bulk_item (job_id, user_id, code) WHERE code <> '';
