//! The document as types: what `check` proved right. Maps keep the document's order.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use crate::{
    catalogue::{Operation, Paths, Row},
    prices::PriceList,
};

mod beside;
mod caches;
mod cluster;
mod database;
mod grants;
mod idempotency;
mod kafka;
mod less;
mod limits;
mod meaning;
mod overload;
mod routing;
mod spending;
mod streams;
mod usage;
mod webhooks;
mod when;

pub use beside::{ActiveCheck, Hedge, HedgeAfter, Shadow};
pub use caches::{
    Allowed, CACHE_PARTS, Cache, CacheScope, CacheSnapshot, ExactCache, LEAST_CACHE_BYTES, SecondTier, SemanticCache,
    SemanticHistory, SemanticMode,
};
pub use cluster::{Cluster, MAX_SHARED_AMOUNT, OnPartition, Server, Topology, Valkey, ValkeyTls};
pub use database::{Postgres, PostgresTls};
pub use grants::{Grant, Granted};
pub use idempotency::{IDEMPOTENCY_PARTS, Idempotency};
pub use kafka::{Acks, KAFKA_PORT, Kafka, KafkaTls, Mechanism, Sasl};
pub use less::{Compress, CompressMode, Guard, GuardMode, GuardSides, MAX_GUARDS, MAX_TOPICS, Steps, Summarize};
pub use limits::{Limit, LimitMode, MAX_THRESHOLDS, Period, Thresholds, Unit, Window};
pub use meaning::{Difficulty, Embedding, Judging, MAX_EXAMPLE_BYTES, MAX_EXAMPLES, Purpose, RemoteEmbedding};
pub use overload::{Overload, Priority, ShardOverload};
pub use routing::{Affinity, Breaker, Conditions, Retry, Sticky, Strategy, Tier};
pub use spending::{Charge, LimitOwner, Per, SpentShare, leaves_margin};
pub use streams::{Streams, TokenTimeouts};
pub use usage::{Durability, OnFull, Retention, UsageKeeping};
pub use webhooks::{NOTICES, USUAL_NOTICES, Webhook};
pub use when::{Days, Feature, Features, Hours, Zone};

/// Named entries in document order.
pub type Named<T> = Vec<(String, T)>;

#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub shards: Shards,
    pub shutdown_grace_ms: u64,
    /// `None`: 0 on a terminal, 5 s otherwise.
    pub drain_delay_ms: Option<u64>,
    pub access_log: AccessLog,
    pub max_body_bytes: u64,
    /// Answers up to this size say their cost in a header: they are held back until it is known. Zero: none does.
    pub cost_header_buffer_bytes: u64,
    /// Of bodies that pass without being held: forms with a file, and whatever goes to `/providers/…`.
    pub max_upload_bytes: u64,
    /// What the ids of objects that live at providers are sealed with; `None`: with each provider's own credential.
    pub id_secret: Option<Reference>,
    /// Calls that come again under the same `idempotency-key`; `None`: each of them runs.
    pub idempotency: Option<Idempotency>,
    /// How records of calls are kept.
    pub usage: UsageKeeping,
    /// Where they go besides the ledger (`usage.kafka`).
    pub kafka: Option<Kafka>,
    /// What several control planes share; `None`: each keeps its own.
    pub database: Option<Postgres>,
    /// `None`: a shard takes whatever comes.
    pub overload: Option<ShardOverload>,
    /// Through which nodes share their limits; `None`: each has its own.
    pub cluster: Option<Cluster>,
    /// Client-side timeouts and bounds (`client:` in the document).
    pub client: ClientLimits,
    pub embedding: Embedding,
    pub listeners: Named<Listener>,
    pub admin: Option<Admin>,
    /// What calendar periods are of: a name of the IANA database.
    pub timezone: String,
    /// Of all calls together.
    pub organization: Vec<Limit>,
    /// Kept with usage.
    pub organization_name: Option<String>,
    /// By a tag's name: of the calls that say the same of it, for each thing said.
    pub tags: Named<Vec<Limit>>,
    /// Who is told of what happens.
    pub webhooks: Named<Webhook>,
    /// An answer that was kept is charged like the call that made it.
    pub charge_hits: bool,
    pub caches: Named<Cache>,
    pub guards: Named<Guard>,
    pub providers: Named<Provider>,
    pub models: Named<Model>,
    pub teams: Named<Team>,
    pub users: Named<User>,
    pub keys: Named<Key>,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            shards: Shards::default(),
            shutdown_grace_ms: 30_000,
            drain_delay_ms: None,
            access_log: AccessLog::default(),
            max_body_bytes: 32 * 1024 * 1024,
            cost_header_buffer_bytes: 256 * 1024,
            max_upload_bytes: 512 * 1024 * 1024,
            id_secret: None,
            idempotency: Some(Idempotency::default()),
            usage: UsageKeeping::default(),
            kafka: None,
            database: None,
            overload: None,
            cluster: None,
            client: ClientLimits::default(),
            embedding: Embedding::default(),
            listeners: Named::new(),
            admin: None,
            timezone: "UTC".to_owned(),
            organization: Vec::new(),
            organization_name: None,
            tags: Named::new(),
            webhooks: Named::new(),
            charge_hits: false,
            caches: Named::new(),
            guards: Named::new(),
            providers: Named::new(),
            models: Named::new(),
            teams: Named::new(),
            users: Named::new(),
            keys: Named::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shards {
    #[default]
    Auto,
    Count(u16),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    #[default]
    Stderr,
    File(String),
}

/// `client: { header_timeout: 10s, body_timeout: 30s, idle_timeout: 75s, max_connections: 100000 }`, these the defaults.
/// `body_timeout` bounds the time between two reads of a body and between two writes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    pub header_timeout_ms: u64,
    pub body_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    pub max_connections: u32,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 75_000,
            max_connections: 100_000,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<ListenerTls>,
    pub proxy_protocol: bool,
    pub trusted_proxies: Vec<Cidr>,
    pub cors: Option<Cors>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// A certificate chain in PEM.
    pub certificate: Reference,
    pub key: Reference,
    /// Further certificates chosen by SNI: (server name, certificate, key). `sni: { NAME: { certificate, key } }`
    pub sni: Vec<(String, Reference, Reference)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// Exact origins, or `*` alone.
    pub origins: Vec<String>,
    pub max_age_s: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix: u8,
}

impl Cidr {
    /// IPv4 addresses that come mapped into IPv6 (`::ffff:10.0.0.1`) are the IPv4 addresses they are.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let beyond = 32 - u32::from(self.prefix.min(32));
                u32::from(network).checked_shr(beyond) == u32::from(ip).checked_shr(beyond)
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let beyond = 128 - u32::from(self.prefix.min(128));
                u128::from(network).checked_shr(beyond) == u128::from(ip).checked_shr(beyond)
            }
            _ => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub address: SocketAddr,
    pub token: Option<Reference>,
}

/// A secret or file an operator referred to: `env:NAME` or `file:PATH`. Never its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    Env(String),
    File(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Chat completions.
    OpenAi,
    OpenAiResponses,
    Anthropic,
    Gemini,
    Cohere,
    /// Amazon Bedrock's Converse.
    Bedrock,
}

impl Dialect {
    pub const ALL: [Self; 6] = [
        Self::OpenAi,
        Self::OpenAiResponses,
        Self::Anthropic,
        Self::Gemini,
        Self::Cohere,
        Self::Bedrock,
    ];

    /// As the document, metrics and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiResponses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Cohere => "cohere",
            Self::Bedrock => "bedrock",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Its kind's row of the catalogue, or what its dialect is by itself: quirks by model, and headers.
    pub row: &'static Row,
    pub dialect: Dialect,
    /// Final base: scheme, authority and path prefix, the dialect's own prefix added when the operator gave no path.
    pub base_url: BaseUrl,
    /// Behind `base_url`, of `dialect`; every parameter but the model is in its place.
    pub paths: Paths,
    /// Further dialects it speaks, and their paths.
    pub also: Vec<(Dialect, Paths)>,
    /// How the credential is sent: `auth:`, or else the catalogue's row or the dialect. `None` when there is no credential.
    pub auth: Auth,
    /// Several spread the load round robin.
    pub credentials: Vec<Reference>,
    pub proxy: Option<HttpProxy>,
    pub timeouts: Timeouts,
    pub connections: Connections,
    pub tls: UpstreamTls,
    /// The row says that `stream_options.include_usage` may be asked for.
    pub may_ask_stream_usage: bool,
    /// `headers:` added to every request, for instance `openai-organization`.
    pub headers: Vec<(String, String)>,
    /// What its models cost.
    pub prices: PriceList,
    /// What it grants us, all keys and models together.
    pub grants: Vec<Grant>,
    /// What may be used of it, beside that.
    pub limits: Vec<Limit>,
    /// The region in which it keeps what it is sent.
    pub residency: Option<String>,
    /// Looks at it that no call asks for.
    pub check: Option<ActiveCheck>,
}

impl Provider {
    /// Where an operation goes, for people: the model stands in braces unless it is named.
    pub fn url(&self, operation: Operation, model: Option<&str>) -> Option<String> {
        let template = self.paths.get(operation)?;
        let path = match model {
            None => template.text().to_owned(),
            Some(model) => {
                let mut path = Vec::new();
                template.write(model, &mut path);
                String::from_utf8_lossy(&path).into_owned()
            }
        };
        Some(format!("{}{path}", self.base_url))
    }
}

/// How a provider is shown who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    None,
    /// `authorization: Bearer …`
    Bearer,
    /// `x-api-key: …`
    XApiKey,
    /// A header of this name, lower case, holds the credential alone: `api-key`, `x-goog-api-key`.
    Header(String),
    /// A query parameter of this name.
    Query(String),
    /// Each request is signed (Signature Version 4). The credential is `ACCESS:SECRET[:SESSION]`, or what the AWS tools
    /// write to files; one without a colon is a bearer token and sent as such.
    Aws {
        region: String,
        service: String,
    },
    /// The credential is a service account's key in JSON, exchanged for access tokens.
    Google {
        scope: String,
    },
    /// The credential is the secret of an application registered with Microsoft Entra (Azure AD), exchanged for
    /// access tokens.
    AzureAd {
        tenant: String,
        client_id: String,
        scope: String,
        /// `https://login.microsoftonline.com`, or a sovereign cloud's; without a slash at its end.
        authority: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    pub tls: bool,
    /// Lower case; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// Without a trailing slash; the row's or the dialect's own unless given.
    pub prefix: String,
}

impl BaseUrl {
    /// What the `host` header says: brackets around an IPv6 address, the port when it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let default_port = if self.tls { 443 } else { 80 };
        if self.port == default_port {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProxy {
    /// Lower case; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
    /// `user:password`, sent as Basic.
    pub credential: Option<Reference>,
    pub no_proxy: Vec<NoProxy>,
}

impl HttpProxy {
    /// Is this host reached through it? `no_proxy` names those that are not.
    pub fn takes(&self, target: &str) -> bool {
        let exempt = |rule: &NoProxy| match rule {
            NoProxy::Cidr(cidr) => target.parse().is_ok_and(|ip| cidr.contains(ip)),
            NoProxy::Host(host) => target.eq_ignore_ascii_case(host),
            NoProxy::Suffix(suffix) => target.to_ascii_lowercase().ends_with(&suffix.to_ascii_lowercase()),
        };
        !self.no_proxy.iter().any(exempt)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProxy {
    Cidr(Cidr),
    /// A host, or a suffix when it began with a dot.
    Host(String),
    Suffix(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    pub connect_ms: u64,
    pub first_byte_ms: u64,
    pub between_bytes_ms: u64,
    pub total_ms: u64,
    /// Of streams.
    pub tokens: TokenTimeouts,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_ms: 2_000,
            first_byte_ms: 60_000,
            between_bytes_ms: 30_000,
            total_ms: 600_000,
            tokens: TokenTimeouts::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    pub max_idle: u32,
    pub idle_timeout_ms: u64,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max_idle: 256,
            idle_timeout_ms: 60_000,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Default: the system's roots.
    pub ca: Option<Reference>,
    pub client_certificate: Option<(Reference, Reference)>,
    /// SNI and name to verify, when it is not the URL's host.
    pub server_name: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Tier by tier.
    pub targets: Vec<Target>,
    /// How they are chosen among, in order. Empty: all of them as they are listed.
    pub tiers: Vec<Tier>,
    pub retry: Retry,
    pub breaker: Breaker,
    /// None: every target gets every call at once.
    pub overload: Option<Overload>,
    pub on_unsupported: OnUnsupported,
    /// The model asked instead when a prompt does not fit into the target's context.
    pub on_context_overflow: Option<String>,
    /// The model asked instead when the target refuses to answer.
    pub on_refusal: Option<String>,
    pub limits: Vec<Limit>,
    /// What `margin` of its targets is reckoned from.
    pub charge: Option<Charge>,
    pub streams: Streams,
    /// A second target is asked when the first takes long.
    pub hedge: Option<Hedge>,
    /// Where copies of its calls go.
    pub shadow: Option<Shadow>,
    /// Where its answers are kept.
    pub cache: Option<String>,
    /// What reads its prompts and answers, by name.
    pub guards: Vec<String>,
    /// What is left out of its prompts.
    pub compress: Option<Compress>,
}

/// What becomes of a request that a target's dialect cannot say in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUnsupported {
    /// What cannot be said is left out, and the answer's head names it.
    #[default]
    Drop,
    /// It is refused.
    Error,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub provider: String,
    /// The provider's model name; `*` stands for what the wildcard matched.
    pub model: String,
    /// The catalogue's name of the model, where the provider's is the operator's own (a deployment, a profile).
    pub like: Option<String>,
    pub weight: u32,
    pub when: Conditions,
    /// The region that it is in, where that is not its provider's `residency`.
    pub region: Option<String>,
    /// The arm of a comparison that it is: told with each call.
    pub arm: Option<String>,
    pub purpose: Purpose,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            provider: String::new(),
            model: String::new(),
            like: None,
            weight: 1,
            when: Conditions::default(),
            region: None,
            arm: None,
            purpose: Purpose::default(),
        }
    }
}

impl Target {
    /// The name by which the catalogue knows what this model is like.
    pub fn known_as(&self) -> &str {
        self.like.as_deref().unwrap_or(&self.model)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    pub cost_center: Option<String>,
    /// The regions that its calls may go to; empty: everywhere.
    pub residency: Vec<String>,
    pub limits: Vec<Limit>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub team: Option<String>,
    pub limits: Vec<Limit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub secret: KeySecret,
    pub team: Option<String>,
    pub user: Option<String>,
    /// Names or patterns with one trailing `*`; empty: every model.
    pub models: Vec<String>,
    /// Unix seconds.
    pub expires_unix_s: Option<u64>,
    /// Only from 127.0.0.0/8 and ::1 (the quick start's key). Document key `loopback_only`.
    pub loopback_only: bool,
    /// The `/providers/…` paths.
    pub pass_through: bool,
    pub batches: bool,
    /// The regions that its calls may go to; empty: everywhere.
    pub residency: Vec<String>,
    /// It may ask why its calls went where they did.
    pub explain: bool,
    pub limits: Vec<Limit>,
    pub priority: Priority,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeySecret {
    Reference(Reference),
    Sha256([u8; 32]),
}
