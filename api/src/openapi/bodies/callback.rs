//! What the provider of text messages posts: its own forms, of which these fields are read.

use utoipa::ToSchema;

/// A text that somebody sent, as Twilio posts it; its other fields are kept with it.
#[derive(ToSchema)]
#[schema(rename_all = "PascalCase")]
#[schema(example = json!({"MessageSid": "SM1234567890abcdef", "From": "whatsapp:+14155551234", "To": "whatsapp:+15551234567", "Body": "Hello, I need support", "NumMedia": "0"}))]
pub struct TextForm {
    /// What Twilio calls the text: it is taken once.
    pub message_sid: String,
    /// Who sent it, `whatsapp:` before a number of that channel.
    pub from: Option<String>,
    /// The number it was addressed to: whoever sends from it is meant.
    pub to: Option<String>,
    /// The text.
    pub body: Option<String>,
    /// How many files came with it.
    pub num_media: Option<String>,
    /// Twilio's own reading of it, which wins: `STOP`, `START` or `HELP`.
    pub opt_out_type: Option<String>,
    /// The account that signs.
    pub account_sid: Option<String>,
    /// The messaging service it was addressed to.
    pub messaging_service_sid: Option<String>,
}

/// How far a message has come, as Twilio posts it.
#[derive(ToSchema)]
#[schema(rename_all = "PascalCase")]
#[schema(example = json!({"MessageSid": "SM1234567890abcdef", "MessageStatus": "delivered", "To": "+14155551234", "From": "+15551234567", "ErrorCode": ""}))]
pub struct StatusForm {
    /// What Twilio calls the message.
    pub message_sid: String,
    /// `queued`, `sent`, `delivered`, `undelivered`, `failed`, `read` and its like.
    pub message_status: String,
    /// Why it did not arrive.
    pub error_code: Option<String>,
    /// The recipient.
    pub to: Option<String>,
    /// The sender.
    pub from: Option<String>,
    /// The account that signs.
    pub account_sid: Option<String>,
}

/// That a status was taken.
#[derive(ToSchema)]
pub struct StatusReceived {
    /// Always `received`.
    #[schema(example = "received")]
    pub status: String,
}
