-- Subscriptions are counted by plan and expiry, in the order of this index alone.
CREATE INDEX subscription_plan_expiry ON subscription (plan_id, expires_at);
