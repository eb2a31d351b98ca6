//! What is known of providers, targets and listeners before any request: the bytes that every request to them shares.

use std::sync::Arc;

use tollgate_config::{
    catalogue::ModelFacts,
    document::{Breaker, Dialect, Difficulty, Hedge, OnUnsupported, Overload, Retry, Streams, Timeouts, TokenTimeouts},
    prices::Priced,
};
use tollgate_dialect::{quirks::Quirks, sign::AwsKeys};

use super::{CallPath, ids::Ids, names::ModelId};
use crate::{
    access::{AccessTokens, Lack},
    compress,
    exact::Policy,
    guard::Guards,
    limits::Rules,
    routing::{choose::Tier, conditions::Conditions, grants::Grants, health::TargetHealth},
};

/// A provider, ready to be written to.
pub(crate) struct Upstream {
    /// Its own dialect first, then those it speaks as well.
    pub dialects: Vec<(Dialect, CallPath)>,
    /// At least one.
    pub credentials: Vec<Credential>,
    pub host: Box<[u8]>,
    /// Names of the configured `headers`, lower case: a client's header of that name is not passed.
    pub header_names: Vec<Box<str>>,
    /// Headers of the catalogue's row, sent where the request has none of that name.
    pub usual_headers: Vec<(Box<str>, Box<str>)>,
    /// What the ids of its objects are sealed with.
    pub ids: Ids,
    pub timeouts: Timeouts,
    pub may_ask_stream_usage: bool,
    /// It speaks Anthropic's dialect, with the events of its streams in frames of AWS.
    pub frames_events: bool,
    /// Of all its calls.
    pub limits: Option<Arc<Rules>>,
    /// Requests to it are signed: what a client says in headers of the signature's is not passed.
    pub signs: bool,
}

/// How a request proves whose it is.
pub(crate) struct Credential {
    /// The rest of the request line and the header lines that do not depend on the request.
    pub lines: Box<[u8]>,
    /// `name=value` for the query.
    pub query: Option<Box<[u8]>>,
    pub proof: Proof,
}

/// What proves a request beside that.
pub(crate) enum Proof {
    /// Nothing: the credential stands in the lines, or in the query.
    Shown,
    /// Each request is signed.
    Signed(Signing),
    /// An access token that the credential is exchanged for, off the shards.
    Exchanged { id: u64 },
}

/// AWS Signature Version 4.
pub(crate) struct Signing {
    /// Made from all that is below.
    pub id: u64,
    pub keys: AwsKeys,
    pub region: Box<str>,
    pub service: Box<str>,
}

impl Credential {
    /// Why it cannot be used now.
    pub fn lack(&self, tokens: &AccessTokens, now_unix_s: u64) -> Option<Lack> {
        match &self.proof {
            Proof::Shown => None,
            Proof::Signed(signing) => {
                let over = signing.keys.expires_unix_s.is_some_and(|end| end <= now_unix_s);
                over.then_some(Lack::FreshKeys)
            }
            Proof::Exchanged { id } => tokens.lack(*id, now_unix_s),
        }
    }
}

impl Upstream {
    /// Are its requests signed, body and all?
    pub fn signs(&self) -> bool {
        self.credentials
            .iter()
            .any(|credential| matches!(credential.proof, Proof::Signed(_)))
    }

    /// The dialect to speak with a client of this one, and its paths: the client's own where the provider has it.
    pub fn spoken(&self, client: Option<Dialect>) -> (Dialect, &CallPath) {
        let found = self.dialects.iter().find(|(dialect, _)| Some(*dialect) == client);
        let (dialect, path) = found.unwrap_or(&self.dialects[0]);
        (*dialect, path)
    }
}

/// A model's targets, and how they are chosen among.
pub(crate) struct Route {
    /// Tier by tier.
    pub targets: Vec<Target>,
    pub tiers: Vec<Tier>,
    pub retry: Retry,
    pub breaker: Breaker,
    /// None: its targets have room for every call.
    pub overload: Option<Overload>,
    pub on_unsupported: OnUnsupported,
    /// Asked instead when the prompt is too long for the target.
    pub on_context_overflow: Option<ModelId>,
    /// Asked instead when the target refuses to answer.
    pub on_refusal: Option<ModelId>,
    pub streams: Streams,
    /// A second target is asked when the first takes long.
    pub hedge: Option<Hedge>,
    /// That goes by the times of answers.
    pub learns_answers: bool,
    /// Who gets copies of its calls, and how many of a hundred.
    pub shadow: Option<(ModelId, u32)>,
    /// Its answers are kept.
    pub cache: Option<Arc<Policy>>,
    /// What reads its prompts and answers.
    pub guards: Option<Arc<Guards>>,
    /// What is left out of its prompts.
    pub compress: Option<Arc<compress::Plan>>,
    /// Where a shard keeps what it knows of the model.
    pub slot: u32,
    /// A strategy goes by latency.
    pub measures: bool,
    /// It is of use to know what a call will use and cost: a strategy goes by it, a condition, or a limit of tokens.
    pub reckons: bool,
    /// How long its answers are is of use: to a strategy, or to a limit.
    pub learns: bool,
    /// Of all its calls.
    pub limits: Option<Arc<Rules>>,
    /// A strategy goes by what is left of the provider's limits.
    pub reads_limits: bool,
    /// Calls are drawn to targets by how their prompts begin.
    pub draws: bool,
    /// A target's conditions go by what a call asks for.
    pub judges_features: bool,
    /// A strategy goes by what prompts mean.
    pub reads_meaning: bool,
}

pub(crate) struct Target {
    /// Index into `document.providers`.
    pub provider: usize,
    pub quirks: Quirks,
    /// What the operator says its model is like.
    pub like: Option<Box<str>>,
    pub model: TargetModel,
    pub weight: u32,
    /// None: for all calls.
    pub when: Option<Box<Conditions>>,
    pub region: Option<Box<str>>,
    /// What its provider grants; the same of all its provider's targets.
    pub grants: Option<Arc<Grants>>,
    /// Where a shard keeps what it knows of the target.
    pub slot: u32,
    pub health: Arc<TargetHealth>,
    /// Its name as a number, which its lots are drawn with.
    pub lot: u64,
    /// What the model costs; empty where only the call names it.
    pub priced: Priced,
    /// What the catalogue knows of it; none where only the call names it.
    pub facts: Option<&'static ModelFacts>,
    /// How long its streams may say nothing.
    pub tokens: TokenTimeouts,
    /// Which prompts it is for, where its tier goes by how hard they are.
    pub difficulty: Option<Difficulty>,
}

impl Target {
    /// Is it of use to know how many tokens a call will use?
    pub fn counts_tokens(&self) -> bool {
        self.grants.as_ref().is_some_and(|grants| grants.count_tokens())
    }
}

/// The provider's name of the model.
pub(crate) enum TargetModel {
    Fixed {
        name: Box<str>,
        /// As a JSON string, quotes included.
        json: Box<[u8]>,
        /// `x-tollgate-provider` and `x-tollgate-model`.
        answer_lines: Box<[u8]>,
    },
    /// What the star matched goes between the two.
    Star { before: Box<str>, after: Box<str> },
}

impl TargetModel {
    /// Appends the provider's name of the model; `matched` is what the star stands for.
    pub fn write_name(&self, matched: &str, out: &mut String) {
        match self {
            TargetModel::Fixed { name, .. } => out.push_str(name),
            TargetModel::Star { before, after } => {
                for part in [&**before, matched, &**after] {
                    out.push_str(part);
                }
            }
        }
    }
}

/// What a listener with CORS answers to origins it knows.
pub(crate) struct CorsLines {
    /// `None`: any origin.
    pub origins: Option<Vec<Box<[u8]>>>,
    pub max_age_s: u32,
}
