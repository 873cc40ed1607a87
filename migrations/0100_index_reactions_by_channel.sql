-- What happened to messages after they left, and to those that never did, on every channel, for statistics. Partial, so
-- that the hot path ({channel}.sent, {channel}.delivered) pays nothing for it.
DROP INDEX events_of_reactions;
CREATE INDEX events_of_reactions ON events (account_id, campaign_id, kind) WHERE kind IN ('email.opened',
    'email.clicked', 'email.bounced', 'email.failed', 'sms.bounced', 'sms.failed', 'whatsapp.opened',
    'whatsapp.bounced', 'whatsapp.failed', 'reply.received', 'contact.opted_out');
