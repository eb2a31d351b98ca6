//! A provider's request. Model and operation stand in the path, which is not written here.

mod config;
mod media;
mod names;
mod plan;
mod turns;

use super::{extras::Extras, vendor::Vendor};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::Request,
    },
    json::Out,
    speak::TargetFacts,
};

pub(super) fn write(
    request: &Request<'_>,
    to: &TargetFacts<'_>,
    drops: &mut Drops,
    out: &mut Vec<u8>,
) -> Result<(), BadRequest> {
    let vendor = Vendor::of_model(to.model);
    let plan = plan::Plan::of(request, to, vendor, drops)?;
    let max_tokens = config::max_tokens(request, to, drops);
    let extras = Extras::of(request, to, vendor, plan.standing(), max_tokens, drops);
    note_unsayable(request, drops);

    let mut json = Out::new(out);
    json.open();
    turns::write_system(&plan, &mut json);
    turns::write_messages(&plan, &mut json);
    config::write_inference(request, to, max_tokens, &extras, drops, &mut json);
    config::write_tools(request, (to, vendor), &plan, drops, &mut json);
    config::write_output(request, to, &extras, drops, &mut json);
    if wants(to, "additionalModelRequestFields") {
        extras.write(&mut json);
    }
    config::write_metadata(request, to, drops, &mut json);
    config::write_service_tier(request, to, drops, &mut json);
    json.close();
    Ok(())
}

/// May a member of the top level be sent to this target?
fn wants(to: &TargetFacts<'_>, member: &str) -> bool {
    !to.quirks.drop.iter().any(|dropped| dropped == member)
}

fn note_unsayable(request: &Request<'_>, drops: &mut Drops) {
    let sampling = &request.sampling;
    let says_more_than_zero = |number: Option<crate::json::Number<'_>>| number.is_some_and(|it| it.value() != 0.0);
    let table = [
        (
            Feature::FrequencyPenalty,
            says_more_than_zero(sampling.frequency_penalty),
        ),
        (Feature::PresencePenalty, says_more_than_zero(sampling.presence_penalty)),
        (Feature::Seed, sampling.seed.is_some()),
        (Feature::N, sampling.n.is_some_and(|n| n > 1)),
        (Feature::Logprobs, sampling.logprobs == Some(true)),
        (Feature::TopLogprobs, sampling.top_logprobs.is_some_and(|top| top > 0)),
        (Feature::LogitBias, sampling.logit_bias.is_some()),
        (Feature::ParallelTools, request.parallel_tools == Some(false)),
        (Feature::User, request.user.is_some()),
        (Feature::Owned, !request.owned.is_empty()),
    ];
    for (feature, lost) in table {
        drops.note_if(feature, lost);
    }
}
