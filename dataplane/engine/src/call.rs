//! The state of a model call: its attempts so far, the one under way, and what is waited for.

use std::sync::Arc;

use tollgate_config::document::Dialect;
use tollgate_dialect::{embed, translate::Sent};

use crate::{
    Tick,
    attempt::{hedge::Hedge, held::Held, renewal::Renewal},
    billing::Tried,
    failure::Waited,
    limits::provider::AtProvider,
    listing::Listing,
    outputs::AttemptId,
    routing::{Began, Order, grants::Grants, meaning::Read, queue::Place, reckoning::Reckoning},
    snapshot::{ModelId, TargetModel},
    through::Through,
    upward::Single,
};

/// However many attempts a model's `retry` allows: attempt ids must not run out, each attempt may be dialled twice, for
/// each part of a call.
pub(crate) const MAX_ATTEMPTS: u32 = 100;
const _: () = assert!(MAX_ATTEMPTS as usize * embed::MAX_PARTS * 2 < u16::MAX as usize);

/// What a resting connection may keep of a translated body.
const MAX_KEPT_BYTES: usize = 2048;

#[derive(Debug, Default)]
pub(crate) struct Call {
    pub live: Option<Live>,
    pub log: Vec<Tried>,
    /// Targets tried.
    pub tried: u8,
    /// The request went up to one of them: it counts as one.
    pub reached: bool,
    /// The targets in the order in which they are tried, and how many of them were.
    pub order: Order,
    pub place: usize,
    /// What the call is expected to use, where that is of use to know.
    pub reckoning: Option<Reckoning>,
    /// What its prompt means, where a model it was for goes by that.
    pub read: Option<Box<Read>>,
    /// All of them were tried: those that are well get a further try.
    pub came_round: bool,
    /// Status of the answer of the attempt under way; zero before it.
    pub answer_status: u16,
    /// When the attempt under way was sent.
    pub sent: Tick,
    /// When its connection was asked for.
    pub dialled: Tick,
    /// Its answer has begun well, and may break yet.
    pub began: Option<Began>,
    /// Calls under way at its target when it was made, itself among them.
    pub found_busy: u32,
    /// The call waits for room at a target.
    pub queued: Option<Queued>,
    /// Models that took over from the one asked for, so far, and the tries before the last one did.
    pub taken_over: u8,
    pub tried_before: u8,
    /// What of its provider's limits the attempt under way took: tokens beside the request.
    pub granted: Option<(Arc<Grants>, u64)>,
    /// The same of the provider's further limits.
    pub at_provider: AtProvider,
    /// Why the call goes where it goes, for a client that may ask: JSON without its end.
    pub told: Option<Box<str>>,
    /// What came of looking for an answer by meaning, for the same.
    pub likeness: Option<Box<str>>,
    /// An answer of which it is not known yet what it is.
    pub held: Option<Box<Held>>,
    /// The request carries what this provider signed, or names what lives there: no other is tried.
    pub only_provider: Option<usize>,
    /// Which of its credentials reaches the objects that the request names.
    pub only_credential: Option<usize>,
    /// The member whose id tied the call to `only_provider`.
    pub pinned_by: Option<&'static str>,
    /// Credential of the last attempt: index into the provider's.
    pub credential: usize,
    /// Which access token the attempt under way shows, and whether another was waited for.
    pub shown_token: u64,
    pub renewal: Option<Renewal>,
    /// The call goes by its provider's own path: what it is seen to ask for.
    pub through: Option<Through>,
    /// The call is about an object, not about a model.
    pub object: Option<ObjectCall>,
    /// It is a list of objects, made of what several answers have.
    pub listing: Option<Box<Listing>>,
    /// Provider of the last attempt.
    pub provider: Option<usize>,
    pub sent_model: SentModel,
    /// The provider's model name where a star stood for part of it.
    pub star_model: String,
    /// The target speaks another dialect than the client: what is sent to it, and what was lost on the way.
    pub translated: Option<Translated>,
    /// Room for the next call's.
    spare_body: Vec<u8>,
    /// Part of a body that is not kept went up: nobody else can be asked.
    pub committed: bool,
    /// Usage was asked for on the client's behalf: what that adds to the stream is taken out again.
    pub added_usage: bool,
    /// It waits for room for its record at most until then.
    pub until_room: Option<Tick>,
    /// `x-tollgate-timeout`.
    pub until_client: Option<Tick>,
    /// The provider's `total` timeout.
    pub until_total: Option<Tick>,
    /// When a second target is asked as well.
    pub until_hedge: Option<Tick>,
    /// A second target was asked, or would have been.
    pub hedge: Option<Box<Hedge>>,
    /// Who gets a copy of the call once it was sent.
    pub shadow: Option<ModelId>,
    /// The timeout of what is waited for now, and what that is.
    pub until_step: Option<(Tick, Waited)>,
    /// The same of the next event of a stream that says something.
    pub until_token: Option<(Tick, Waited)>,
    last_id: u16,
}

/// A request in the target's dialect, written before it is dialled: what cannot be said there costs no connection.
#[derive(Debug)]
pub(crate) struct Translated {
    pub body: Vec<u8>,
    pub sent: Sent,
    /// What the provider is spoken to in.
    pub spoken: Dialect,
    /// It is no chat: one answer to one question, or to several parts of it.
    pub single: Option<Single>,
    /// It is the client's own request with the members that the provider wants: the answer needs no other words.
    pub own: bool,
}

/// Where a call about an object goes at its provider.
#[derive(Debug)]
pub(crate) struct ObjectCall {
    /// Whole, with the provider's own id.
    pub path: Vec<u8>,
    pub query: Vec<u8>,
    /// The provider's own id of what the path names.
    pub raw: Option<String>,
    /// It is to be no more.
    pub deletes: bool,
}

/// Where a call waits: in its model's queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub place: Place,
}

/// The attempt under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Live {
    pub id: AttemptId,
    /// Index into the route's targets.
    pub target: usize,
}

/// Which model name was sent last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum SentModel {
    #[default]
    None,
    /// That of a target of a model of the document.
    Target { route: usize, target: usize },
    /// `Call::star_model`, and whose it is.
    Star { target: Option<usize> },
}

impl Call {
    pub fn clear(&mut self) {
        let mut log = std::mem::take(&mut self.log);
        let mut star_model = std::mem::take(&mut self.star_model);
        self.forget_translated();
        let spare_body = std::mem::take(&mut self.spare_body);
        log.clear();
        star_model.clear();
        *self = Call {
            log,
            star_model,
            spare_body,
            ..Call::default()
        };
    }

    /// The provider's name of the model, as `set_sent_model` noted it.
    pub fn sent_model_name<'a>(&'a self, model: &'a TargetModel) -> &'a str {
        match model {
            TargetModel::Fixed { name, .. } => name,
            TargetModel::Star { .. } => &self.star_model,
        }
    }

    /// Tries since the last model took over.
    pub fn tried_here(&self) -> u8 {
        self.tried - self.tried_before
    }

    /// An empty buffer to translate into; give it back with `forget_translated`.
    pub fn take_spare_body(&mut self) -> Vec<u8> {
        self.forget_translated();
        std::mem::take(&mut self.spare_body)
    }

    pub fn forget_translated(&mut self) {
        if let Some(Translated { mut body, .. }) = self.translated.take() {
            body.clear();
            self.spare_body = body;
        }
    }

    /// The call under way, where it is translated and no chat.
    pub fn single(&self) -> Option<&Single> {
        self.translated.as_ref()?.single.as_ref()
    }

    pub fn single_mut(&mut self) -> Option<&mut Single> {
        self.translated.as_mut()?.single.as_mut()
    }

    /// The connection rests: what an unusual call made grow is given back.
    pub fn shrink(&mut self) {
        self.forget_translated();
        self.spare_body.shrink_to(MAX_KEPT_BYTES);
    }

    pub fn deadline(&self) -> Option<Tick> {
        let step = self.until_step.map(|(until, _)| until);
        let token = self.until_token.map(|(until, _)| until);
        let rival = self.hedge.as_ref().and_then(|hedge| hedge.deadline());
        [self.firm_deadline(), step, token, self.until_hedge, rival]
            .into_iter()
            .flatten()
            .min()
    }

    /// The deadlines that run while the provider is not read.
    pub fn firm_deadline(&self) -> Option<Tick> {
        [self.until_client, self.until_total].into_iter().flatten().min()
    }

    /// What has been waited for too long, the client's own limit first: it allows no further attempt.
    pub fn expired(&self, now: Tick) -> Option<Waited> {
        let over = |until: Option<Tick>| until.is_some_and(|until| until <= now);
        if over(self.until_client) {
            return Some(Waited::Client);
        }
        if over(self.until_total) {
            return Some(Waited::WholeAnswer);
        }
        let steps = [self.until_step, self.until_token].into_iter().flatten();
        steps
            .filter(|(until, _)| *until <= now)
            .map(|(_, waited)| waited)
            .next()
    }

    pub fn is_live(&self, id: AttemptId) -> bool {
        self.live.is_some_and(|live| live.id == id)
    }

    pub fn next_id(&mut self) -> AttemptId {
        assert!(self.last_id < u16::MAX, "attempts are bounded below what ids can name");
        self.last_id += 1;
        AttemptId(self.last_id)
    }
}
