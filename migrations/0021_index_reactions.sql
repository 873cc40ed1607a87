-- What happened to messages after they left, and to those that never did, for statistics. Partial, so that the
-- hot path (email.sent) pays nothing for it.
CREATE INDEX events_of_reactions ON events (account_id, campaign_id, kind) WHERE kind IN ('email.delivered',
    'email.opened', 'email.clicked', 'reply.received', 'email.bounced', 'email.complained', 'email.failed',
    'contact.opted_out');
