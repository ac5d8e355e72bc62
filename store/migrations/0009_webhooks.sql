-- What is told to others: events to webhooks, notices to users by mail.

-- "secret" is sealed. Webhook 0 is the mail to users: it is on while a `stile serve` has a mail server.
CREATE TABLE webhook (
    id         {{id}},
    url        TEXT NOT NULL,
    secret     {{bytes}} NOT NULL,
    is_active  BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Which events a webhook wants: an event, all of a noun ("user.*"), or all ("*").
CREATE TABLE webhook_event (
    pattern    TEXT NOT NULL,
    webhook_id BIGINT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    PRIMARY KEY (pattern, webhook_id)
){{clustered}};
CREATE INDEX webhook_event_webhook ON webhook_event (webhook_id);

-- One event on its way to one webhook, written with the change that it tells of. "due_at" is the next attempt's time, or
-- until when the present one has it for itself; 0 = ended. "attempts" numbers the attempts, so that one that was given up
-- for dead changes nothing any more. "queued_at" is when it was last put in line.
CREATE TABLE delivery (
    id           {{id}},
    webhook_id   BIGINT NOT NULL REFERENCES webhook (id) ON DELETE CASCADE,
    event        TEXT NOT NULL,
    user_id      BIGINT NOT NULL,
    subject_id   BIGINT NOT NULL,
    at           BIGINT NOT NULL,
    queued_at    BIGINT NOT NULL,
    due_at       BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    status       BIGINT NOT NULL,
    error        TEXT NOT NULL,
    is_delivered BOOLEAN NOT NULL,
    ended_at     BIGINT NOT NULL
);
CREATE INDEX delivery_due ON delivery (webhook_id, due_at) WHERE due_at > 0;
CREATE INDEX delivery_queued ON delivery (queued_at) WHERE due_at > 0;
CREATE INDEX delivery_ended ON delivery (ended_at) WHERE ended_at > 0;
CREATE INDEX delivery_webhook ON delivery (webhook_id, id);

-- What was last told of each node.
CREATE TABLE node_told (
    node_id   {{key}},
    is_online BOOLEAN NOT NULL
);

-- Up to which expiry each notice was given; "event" is what it is called.
CREATE TABLE expiry_notice (
    event TEXT PRIMARY KEY,
    until BIGINT NOT NULL
);

-- Which part of the quota a user was last told of, and in which traffic period: that of subscription.traffic_resets_at.
CREATE TABLE quota_notice (
    user_id   {{key}} REFERENCES account (id) ON DELETE CASCADE,
    resets_at BIGINT NOT NULL,
    percent   BIGINT NOT NULL
);

-- Users who want no notices by mail.
CREATE TABLE mail_refusal (
    user_id {{key}} REFERENCES account (id) ON DELETE CASCADE
);

INSERT INTO webhook (id, url, secret, is_active, created_at, updated_at)
{{given}}
VALUES (0, 'mail', '', FALSE, 0, 0);
INSERT INTO webhook_event (pattern, webhook_id)
VALUES ('subscription.week_left', 0), ('subscription.day_left', 0), ('subscription.expired', 0),
    ('subscription.traffic_80', 0), ('subscription.traffic_100', 0);
