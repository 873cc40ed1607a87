//! The writer that asks a model.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_openai::{
    Client,
    config::OpenAIConfig,
    types::chat::{ChatCompletionRequestMessage, CreateChatCompletionRequest, ResponseFormat},
};
use tokio::time::Instant;
use url::{Host, Url};

use super::{
    Brief, Draft, Text, Tokens, Violation, WriteError, WrittenBy, contract, prompt,
    transport::{Choice, Completion, Fault, Transport, http_client},
};

/// Where the model is and how long it may take.
#[derive(Clone)]
pub struct ModelSettings {
    /// The server's address up to and with its version, such as `https://api.openai.com/v1`.
    pub base_url: Url,
    /// Its key; local servers need none.
    pub api_key: Option<String>,
    /// The model's name.
    pub model: String,
    /// The longest one request may take, from its first byte to the last of its answer.
    pub request_timeout: Duration,
    /// The longest all attempts at one text may take together.
    pub total_timeout: Duration,
    /// How many answers may break the contract before the text is refused.
    pub max_attempts: u32,
    /// The most tokens of one answer, thoughts included. A model that rambles is cut here and told so, before
    /// it runs into the timeout.
    pub max_tokens: u32,
    /// The most bytes of one answer that are read.
    pub max_answer_bytes: usize,
}

impl ModelSettings {
    /// Settings with the usual bounds: 60 s a request, 120 s and three answers a text, 2048 tokens and 1 MiB
    /// an answer.
    pub fn new(base_url: Url, api_key: Option<String>, model: impl Into<String>) -> Self {
        Self {
            base_url,
            api_key,
            model: model.into(),
            request_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(120),
            max_attempts: 3,
            max_tokens: 2048,
            max_answer_bytes: 1024 * 1024,
        }
    }
}

impl fmt::Debug for ModelSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelSettings").field("model", &self.model).finish_non_exhaustive()
    }
}

/// What is wrong with the settings. Names the variable, never its value.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not an address of a server.
    #[error("OPENAI_BASE_URL must be http:// or https://, with a host and without user, query or fragment")]
    BaseUrl,
    /// Not a key a header can carry.
    #[error("OPENAI_API_KEY must be visible ASCII characters without spaces")]
    ApiKey,
    /// No model named.
    #[error("OPENAI_MODEL must name a model")]
    Model,
    /// The HTTP client could not be made.
    #[error("the client for the model's server could not be set up: {0}")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Bytes that an earlier answer and its faults add to a request at most; and what the form of the answer and the
/// server's own marks take. A token is at least a byte.
const AGAIN_BYTES: u64 = 16 * 1024;
const FORM_BYTES: u64 = 1_024;

/// Asks a model behind any OpenAI-compatible server, and hands on nothing unchecked.
pub struct ModelWriter {
    client: Client<OpenAIConfig>,
    settings: ModelSettings,
    /// The server refused the JSON schema once and answered without it.
    plain: AtomicBool,
}

impl fmt::Debug for ModelWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelWriter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ModelWriter {
    /// A writer for these settings. Reads nothing from the environment and asks nothing yet.
    ///
    /// # Errors
    /// [`SetupError`] names the variable to correct.
    pub fn new(settings: ModelSettings) -> Result<Self, SetupError> {
        let url = &settings.base_url;
        let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !bare || url.fragment().is_some() {
            return Err(SetupError::BaseUrl);
        }
        let key = settings.api_key.clone().unwrap_or_default();
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SetupError::ApiKey);
        }
        if settings.model.trim().is_empty() {
            return Err(SetupError::Model);
        }
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        let http = http_client(local).map_err(SetupError::Client)?;
        // Each is set, because the crate takes what is not from variables of its own.
        let config = OpenAIConfig::new()
            .with_api_base(url.as_str().trim_end_matches('/'))
            .with_api_key(key)
            .with_org_id("")
            .with_project_id("");
        let transport = Transport::new(http.clone(), settings.max_answer_bytes);
        let client = Client::build(http, config).with_http_service(transport);
        Ok(Self { client, settings, plain: AtomicBool::new(false) })
    }

    /// The most that one text can cost: every answer it may take, each of the greatest length.
    pub fn most(&self, brief: &Brief) -> Tokens {
        let first = prompt::messages(&brief.bounded());
        self.most_of(&first).times(u64::from(self.settings.max_attempts.max(1)))
    }

    /// The most that one request can cost.
    fn most_of(&self, messages: &[ChatCompletionRequestMessage]) -> Tokens {
        let bytes = serde_json::to_vec(messages).map_or(0, |text| text.len() as u64);
        Tokens { prompt: bytes + AGAIN_BYTES + FORM_BYTES, completion: u64::from(self.settings.max_tokens) }
    }

    /// Has a text written, and written again with its faults named while it breaks the contract.
    ///
    /// A fault of the server is not waited out here: the caller's queue does that.
    ///
    /// # Errors
    /// [`WriteError`] says what to do.
    pub async fn write(&self, brief: &Brief) -> Result<Draft, WriteError> {
        let brief = brief.bounded();
        let deadline = Instant::now() + self.settings.total_timeout;
        let with_subject = brief.subject_hint.is_none() && !brief.to_phone;
        let first = prompt::messages(&brief);
        let mut messages = first.clone();
        let mut rejected: Vec<Vec<Violation>> = Vec::new();
        let mut tokens = Tokens::default();
        for attempt in 1..=self.settings.max_attempts.max(1) {
            let completion = match self.ask(&messages, || prompt::answer_format(with_subject), deadline).await
            {
                Ok(completion) => Some(completion),
                Err(Fault::TooLarge { .. }) => {
                    tokens = tokens.plus(self.most_of(&first));
                    None
                }
                Err(Fault::Timeout) if !rejected.is_empty() && Instant::now() >= deadline => {
                    tokens = tokens.plus(self.most_of(&first));
                    break;
                }
                Err(fault) => return Err(failed(fault, tokens, self.most_of(&first))),
            };
            let (answer, verdict) = self.judge(completion.as_ref(), &brief, &mut tokens);
            match verdict {
                Ok(text) => return self.draft(text, completion, &messages, tokens, attempt, rejected),
                Err(violations) => {
                    tracing::debug!(attempt, violations = violations.len(), "an answer broke the contract");
                    messages = first.clone();
                    messages.extend(prompt::again(answer, &violations));
                    rejected.push(violations);
                }
            }
        }
        let attempts = u32::try_from(rejected.len()).unwrap_or(u32::MAX);
        Err(WriteError::Refused { reasons: rejected.pop().unwrap_or_default(), attempts, tokens })
    }

    /// Asks for next to nothing: whether the server is there, takes the key and knows the model. The model's name
    /// as the server gives it.
    ///
    /// # Errors
    /// [`WriteError`], as of any text.
    pub async fn probe(&self) -> Result<String, WriteError> {
        let deadline = Instant::now() + self.settings.total_timeout;
        let asked = self.ask(&prompt::probe(), || ResponseFormat::Text, deadline).await;
        let completion = asked.map_err(|fault| failed(fault, Tokens::default(), Tokens::default()))?;
        Ok(completion.model.unwrap_or_else(|| self.settings.model.clone()))
    }

    /// One answer: one request, and once per process a second, when the server knows no JSON schema.
    pub(super) async fn ask(
        &self,
        messages: &[ChatCompletionRequestMessage],
        format: impl FnOnce() -> ResponseFormat,
        deadline: Instant,
    ) -> Result<Completion, Fault> {
        if self.plain.load(Ordering::Relaxed) {
            return self.request(messages, None, deadline).await;
        }
        match self.request(messages, Some(format()), deadline).await {
            Err(Fault::Status { status: 400 | 422, .. }) => {
                let completion = self.request(messages, None, deadline).await?;
                self.plain.store(true, Ordering::Relaxed);
                tracing::info!("the model's server takes no JSON schema; answers are read as plain text");
                Ok(completion)
            }
            answered => answered,
        }
    }

    async fn request(
        &self,
        messages: &[ChatCompletionRequestMessage],
        format: Option<ResponseFormat>,
        deadline: Instant,
    ) -> Result<Completion, Fault> {
        let mut request = CreateChatCompletionRequest {
            messages: messages.to_vec(),
            model: self.settings.model.clone(),
            ..Default::default()
        };
        // A server too old for a schema knows the limit by its old name alone.
        #[allow(deprecated)]
        if format.is_some() {
            request.max_completion_tokens = Some(self.settings.max_tokens);
        } else {
            request.max_tokens = Some(self.settings.max_tokens);
        }
        request.response_format = format;
        let until = deadline.min(Instant::now() + self.settings.request_timeout);
        let chat = self.client.chat();
        let answer = chat.create_byot::<_, Completion>(request);
        tokio::time::timeout_at(until, answer).await.map_err(|_| Fault::Timeout)?.map_err(Fault::from)
    }

    /// The answer as it was given, and the text in it if it keeps the contract.
    fn judge<'a>(
        &self,
        completion: Option<&'a Completion>,
        brief: &Brief,
        tokens: &mut Tokens,
    ) -> (&'a str, Result<Text, Vec<Violation>>) {
        let Some(completion) = completion else {
            return ("", Err(vec![Violation::AnswerTooLarge { limit: self.settings.max_answer_bytes }]));
        };
        if let Some(usage) = &completion.usage {
            tokens.prompt = tokens.prompt.saturating_add(usage.prompt_tokens);
            tokens.completion = tokens.completion.saturating_add(usage.completion_tokens);
        }
        let choice = completion.choices.first();
        let message = choice.and_then(|choice| choice.message.as_ref());
        let answer = message.and_then(|message| message.content.as_deref()).unwrap_or_default();
        if let Some(violation) = choice.and_then(stopped_early) {
            return (answer, Err(vec![violation]));
        }
        (answer, contract::read(answer, brief))
    }

    fn draft(
        &self,
        text: Text,
        completion: Option<Completion>,
        messages: &[ChatCompletionRequestMessage],
        tokens: Tokens,
        attempts: u32,
        rejected: Vec<Vec<Violation>>,
    ) -> Result<Draft, WriteError> {
        let named = completion.and_then(|completion| completion.model).filter(|name| !name.is_empty());
        let prompt_hash = prompt::hash(messages).map_err(|error| WriteError::Unavailable {
            detail: format!("the prompt has no JSON form: {error}"),
        })?;
        Ok(Draft {
            subject: text.subject,
            text: text.body,
            writer: WrittenBy::Model,
            model: named.unwrap_or_else(|| self.settings.model.clone()).chars().take(200).collect(),
            prompt_hash,
            tokens,
            attempts,
            contract: contract::VERSION,
            rejected,
        })
    }
}

/// A model that declined, or was stopped, before its answer was whole.
fn stopped_early(choice: &Choice) -> Option<Violation> {
    let refusal = choice.message.as_ref().and_then(|message| message.refusal.as_deref());
    if refusal.is_some_and(|refusal| !refusal.is_empty()) {
        return Some(Violation::Declined { by: "refusal".to_owned() });
    }
    match choice.finish_reason.as_deref() {
        Some("length") => Some(Violation::CutShort),
        Some("content_filter") => Some(Violation::Declined { by: "filter".to_owned() }),
        _ => None,
    }
}

/// `most` is what the request may have cost, where the server may have worked on it.
fn failed(fault: Fault, tokens: Tokens, most: Tokens) -> WriteError {
    let detail = fault.to_string();
    let tokens = match fault {
        Fault::TooLarge { .. } | Fault::NoCompletion | Fault::Timeout | Fault::Broken => tokens.plus(most),
        Fault::Status { .. } | Fault::Request | Fault::Unreachable => tokens,
    };
    match fault {
        Fault::Status { status: 408 | 409 | 425 | 429 | 500..=599, after, .. } => {
            WriteError::Retry { after, detail, tokens }
        }
        Fault::Status { .. } | Fault::Request => WriteError::Unavailable { detail },
        Fault::TooLarge { .. }
        | Fault::NoCompletion
        | Fault::Timeout
        | Fault::Unreachable
        | Fault::Broken => WriteError::Retry { after: None, detail, tokens },
    }
}
