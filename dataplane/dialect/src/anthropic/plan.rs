//! What a request asks of the model that Anthropic ties together: the cap on tokens, thinking, and sampling. A budget
//! lies below the cap and is at least 1,024; with thinking no tool may be forced, no turn prefilled, and hardly a
//! parameter of sampling set.

use crate::{
    canonical::{
        feature::{Drops, Feature},
        request::{Amount, Content, Effort, Part, Request, Role, Turn},
    },
    json::Number,
    quirks::ThinkingForm,
    speak::TargetFacts,
};

use super::tools;

const LEAST_BUDGET: u64 = 1_024;
/// With thinking, `top_p` may be set from here to 1.
const LEAST_TOP_P_WITH_THINKING: f64 = 0.95;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan<'a> {
    pub(super) max_tokens: u64,
    pub(super) thinking: Option<Form>,
    pub(super) effort: Option<Effort>,
    /// Raw numbers.
    pub(super) temperature: Option<&'a [u8]>,
    pub(super) top_p: Option<&'a [u8]>,
    pub(super) top_k: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Off,
    Adaptive,
    Budget(u64),
}

/// `prefilled`: an assistant's turn will stand last.
pub(super) fn make<'a>(request: &Request<'a>, to: &TargetFacts<'_>, prefilled: bool, drops: &mut Drops) -> Plan<'a> {
    let asked = request.sampling.max_tokens;
    let most = to.quirks.most_max_tokens.unwrap_or(u64::MAX);
    drops.note_if(Feature::MaxTokens, asked.is_some_and(|asked| asked > most));
    let max_tokens = asked.unwrap_or(to.quirks.default_max_tokens).min(most);
    let mut plan = Plan {
        max_tokens,
        thinking: None,
        effort: None,
        temperature: None,
        top_p: None,
        top_k: None,
    };
    plan.think(request, to, prefilled, drops);
    plan.sample(request, to, drops);
    plan
}

impl<'a> Plan<'a> {
    fn think(&mut self, request: &Request<'_>, to: &TargetFacts<'_>, prefilled: bool, drops: &mut Drops) {
        let Some(thinking) = request.thinking else { return };
        let dropped = |name: &str| to.quirks.drop.iter().any(|drop| drop == name);
        let (form, effort) = form(thinking.amount, to.quirks.thinking_form);
        self.effort = effort.filter(|_| !dropped("output_config"));
        let on = form != Form::Off;
        let impossible = on && (tools::forced(request) || prefilled);
        let unproved = matches!(form, Form::Budget(_)) && !leads_with_thought(request);
        if dropped("thinking") || impossible || unproved {
            drops.note_if(Feature::Thinking, on);
            return;
        }
        drops.note_if(Feature::Thinking, effort.is_some() && self.effort.is_none());
        let Form::Budget(wanted) = form else {
            self.thinking = Some(form);
            return;
        };
        let budget = self.fit(wanted, request, to);
        let exact = matches!(thinking.amount, Amount::BudgetTokens(_));
        drops.note_if(Feature::Thinking, budget.is_none() || (exact && budget != Some(wanted)));
        self.thinking = budget.map(Form::Budget);
    }

    /// The budget that fits under the cap; a cap that nobody asked for makes room.
    fn fit(&mut self, wanted: u64, request: &Request<'_>, to: &TargetFacts<'_>) -> Option<u64> {
        let budget = wanted.max(LEAST_BUDGET);
        if request.sampling.max_tokens.is_none() {
            let most = to.quirks.most_max_tokens.unwrap_or(u64::MAX);
            self.max_tokens = budget.saturating_add(self.max_tokens).min(most);
        }
        let fits = budget.min(self.max_tokens.saturating_sub(1));
        (fits >= LEAST_BUDGET).then_some(fits)
    }

    fn sample(&mut self, request: &Request<'a>, to: &TargetFacts<'_>, drops: &mut Drops) {
        let sampling = &request.sampling;
        let thinks = matches!(self.thinking, Some(Form::Adaptive | Form::Budget(_)));
        // One is what both are where nobody says: a request that says so loses nothing.
        let tells = |number: &Number<'_>| number.value() != 1.0;
        if thinks || !to.quirks.sampling {
            let top_p = sampling.top_p.filter(tells);
            let narrow = |number: &Number<'_>| (LEAST_TOP_P_WITH_THINKING..=1.0).contains(&number.value());
            let kept = top_p.filter(|number| to.quirks.sampling && narrow(number));
            drops.note_if(
                Feature::Temperature,
                sampling.temperature.is_some_and(|number| tells(&number)),
            );
            drops.note_if(Feature::TopP, top_p.is_some() && kept.is_none());
            drops.note_if(Feature::TopK, sampling.top_k.is_some());
            self.top_p = kept.map(Number::raw);
            return;
        }
        // Models refuse both at once.
        let (temperature, top_p) = match (sampling.temperature, sampling.top_p) {
            (Some(temperature), Some(top_p)) if !tells(&temperature) && tells(&top_p) => (None, Some(top_p)),
            (Some(temperature), Some(top_p)) => {
                drops.note_if(Feature::TopP, tells(&top_p));
                (Some(temperature), None)
            }
            one => one,
        };
        self.temperature = temperature.map(|number| clamped(number, Feature::Temperature, drops));
        self.top_p = top_p.map(|number| clamped(number, Feature::TopP, drops));
        self.top_k = sampling.top_k;
    }
}

fn form(amount: Amount, takes: ThinkingForm) -> (Form, Option<Effort>) {
    match (amount, takes) {
        (Amount::Off, _) => (Form::Off, None),
        (Amount::BudgetTokens(tokens), ThinkingForm::Adaptive) => {
            (Form::Adaptive, Some(Effort::of_budget_tokens(tokens)))
        }
        (Amount::BudgetTokens(tokens), _) => (Form::Budget(tokens), None),
        (Amount::Adaptive, ThinkingForm::Budget) => (Form::Budget(Effort::Medium.budget_tokens()), None),
        (Amount::Adaptive, _) => (Form::Adaptive, None),
        (Amount::Effort(effort), ThinkingForm::Budget) => (Form::Budget(effort.budget_tokens()), None),
        (Amount::Effort(effort), _) => (Form::Adaptive, Some(effort)),
    }
}

fn clamped<'a>(number: Number<'a>, feature: Feature, drops: &mut Drops) -> &'a [u8] {
    let value = number.value();
    drops.note_if(feature, !(0.0..=1.0).contains(&value));
    match value {
        value if value > 1.0 => b"1",
        value if value < 0.0 => b"0",
        _ => number.raw(),
    }
}

/// Between tool calls, what the assistant said since the user spoke must begin with what it thought. Clients of other
/// dialects often do not hand that back.
fn leads_with_thought(request: &Request<'_>) -> bool {
    let spoke = |turn: &Turn<'_>| {
        let is_result = |part: &Part<'_>| matches!(part.content, Content::ToolResult { .. });
        turn.role == Role::User && !turn.parts.iter().any(is_result)
    };
    let since = request.turns.iter().rposition(spoke).map_or(0, |at| at + 1);
    let answer = request.turns[since..].iter().find(|turn| turn.role == Role::Assistant);
    match answer.and_then(|turn| turn.parts.first()) {
        None => true,
        Some(part) => match part.content {
            Content::Thinking(_) => part.signature.is_some(),
            Content::Sealed { .. } => true,
            _ => false,
        },
    }
}
