-- Actions on many accounts that go on by themselves.

-- "filter" is what the accounts are still selected by, and "after" the last id that was; '' = all are there. "holder" is the
-- process that works on the job until "held_until", 0 = nobody. "error" is why it failed. "ended_at" 0 = it goes on.
CREATE TABLE bulk_job (
    id         {{id}},
    actor_id   BIGINT NOT NULL,
    action     TEXT NOT NULL,
    days       BIGINT NOT NULL,
    plan       TEXT NOT NULL,
    periods    BIGINT NOT NULL,
    state      TEXT NOT NULL,
    filter     TEXT NOT NULL,
    after      BIGINT NOT NULL,
    selected   BIGINT NOT NULL,
    done       BIGINT NOT NULL,
    refused    BIGINT NOT NULL,
    error      TEXT NOT NULL,
    holder     BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at   BIGINT NOT NULL
);
CREATE INDEX bulk_job_open ON bulk_job (id) WHERE ended_at = 0;
CREATE INDEX bulk_job_ended ON bulk_job (ended_at) WHERE ended_at > 0;

-- Accounts of a job that are to be worked on, or were refused with a code. One that is done is deleted in the transaction of
-- its change, so that nothing is done twice.
CREATE TABLE bulk_item (
    job_id  BIGINT NOT NULL REFERENCES bulk_job (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL,
    code    TEXT NOT NULL,
    PRIMARY KEY (job_id, user_id)
){{clustered}};
