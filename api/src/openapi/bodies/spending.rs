//! What texts cost. Amounts are in the currency that the configured prices are in.

use utoipa::ToSchema;

/// Where an account stands with what models cost.
#[derive(ToSchema)]
pub struct Spending {
    /// Most that is spent; null for no cap.
    #[schema(example = 25.0)]
    pub cap: Option<f64>,
    /// What the cap is counted over: `total`, `monthly` or `daily`, in the account's zone.
    #[schema(example = "monthly")]
    pub period: String,
    /// When the next period begins; null where there is but one.
    #[schema(format = DateTime, example = "2026-02-01T00:00:00.000Z")]
    pub renews_at: Option<String>,
    /// What texts have cost in this period.
    #[schema(example = 3.25)]
    pub spent: f64,
    /// What texts have cost ever.
    #[schema(example = 41.5)]
    pub spent_total: f64,
    /// Set aside for texts that are being written.
    #[schema(example = 0.02)]
    pub reserved: f64,
    /// What is left of the cap; null where there is none.
    #[schema(example = 21.73)]
    pub left: Option<f64>,
    /// The configured prices.
    pub prices_per_million_tokens: TokenPrices,
}

/// What a million tokens cost.
#[derive(ToSchema)]
pub struct TokenPrices {
    /// Tokens read.
    #[serde(rename = "in")]
    #[schema(example = 0.5)]
    pub input: f64,
    /// Tokens written.
    #[serde(rename = "out")]
    #[schema(example = 1.5)]
    pub output: f64,
}

/// The cap to be set.
#[derive(ToSchema)]
#[schema(example = json!({"cap": 25.0, "period": "monthly"}))]
pub struct CapInput {
    /// 0 or more; null lifts it.
    #[schema(required = true)]
    pub cap: Option<f64>,
    /// What it is counted over: `total`, `monthly` or `daily`, in the account's zone; absent: as before, `total` at first.
    pub period: Option<String>,
}
