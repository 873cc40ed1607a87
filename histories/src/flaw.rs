//! What can be wrong with a store, to see that it is found out.

/// A flaw that is put in to see that it is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// What a dead worker was handing over is sent again.
    RepeatsTheUnknown,
    /// An intent does not look for opt-outs.
    OverlooksOptOuts,
    /// An intent does not look for a pause.
    OverlooksPauses,
    /// Slots and intents know no quiet hours.
    OverlooksQuietHours,
    /// Slots move no gate.
    OverlooksLimits,
    /// What a dead worker had claimed stays claimed.
    LosesClaims,
    /// A refusal is recorded as an acceptance.
    BelievesAnything,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Flaw; 7] = [
        Flaw::RepeatsTheUnknown,
        Flaw::OverlooksOptOuts,
        Flaw::OverlooksPauses,
        Flaw::OverlooksQuietHours,
        Flaw::OverlooksLimits,
        Flaw::LosesClaims,
        Flaw::BelievesAnything,
    ];
}
