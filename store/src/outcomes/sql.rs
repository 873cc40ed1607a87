//! What T3 writes, once for both ways of handing its rows to the database: as JSON, a statement for each table, and on
//! Postgres as arrays, one statement for all ([`super::in_one`]).

/// Closes attempts. One that is known to be accepted stays so whatever is learnt later.
macro_rules! close_sql {
    ($from:literal, $attempt:literal, $state:literal, $stage:literal, $reply:literal, $detail:literal, $at:literal,
     $provider:literal) => {
        concat!(
            "UPDATE attempts SET state = ",
            $state,
            ", stage = ",
            $stage,
            ", reply = ",
            $reply,
            ", detail = ",
            $detail,
            ", ended_at = ",
            $at,
            ", provider_id = COALESCE(attempts.provider_id, ",
            $provider,
            ")
             FROM ",
            $from,
            " WHERE attempts.id = ",
            $attempt,
            " AND attempts.state IN ('sending', 'uncertain')"
        )
    };
}

/// Marks messages accepted. Proof is proof, whichever attempt it is of and wherever the message has gone since: nothing
/// is sent again. Of what a hand-over leads to no indexed column changes (`worker_id`, `updated_at`, `look_at`): Postgres
/// writes the row anew where it lies, and nothing in any index.
macro_rules! accept_sql {
    ($from:literal, $message:literal, $at:literal, $slot:literal, $status:literal, $now:literal) => {
        concat!(
            "UPDATE messages SET state = 'accepted', accepted_at = ",
            $at,
            ", slot = ",
            $slot,
            ",
                 crashes = 0, updated_at = CASE WHEN messages.state = 'sending' THEN messages.updated_at ELSE ",
            $now,
            " END, provider_status = ",
            $status,
            ", provider_code = NULL,
                 look_at = NULL, looks = 0
             FROM ",
            $from,
            " WHERE messages.id = ",
            $message,
            "
               AND messages.state NOT IN ('accepted', 'delivered', 'bounced', 'complained')
             RETURNING messages.id"
        )
    };
}

pub(super) use {accept_sql, close_sql};
