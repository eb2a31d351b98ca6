//! What Converse leaves to each vendor: the members of `additionalModelRequestFields`, for thinking and top-k.
//!
//! Anthropic's are those of its own API. Source for the others: Bedrock user guide, "Amazon Nova" (`reasoningConfig`,
//! `inferenceConfig.topK`) and "OpenAI models" (`reasoning_effort`).

use super::{
    path::{Path, Unread},
    vendor::Vendor,
};
use crate::{
    canonical::{
        bad::BadRequest,
        feature::{Drops, Feature},
        request::{Amount, Effort, Request, Thinking, ToolChoice},
    },
    json::{Node, Out},
    quirks::ThinkingForm,
    speak::TargetFacts,
};

/// The least that Anthropic's models take.
const LEAST_BUDGET_TOKENS: u64 = 1_024;

/// What is no shape we know is unread, never wrong: only the model knows what it takes.
pub(super) fn read<'a>(request: &mut Request<'a>, extra: Node<'a>, unread: &mut Unread<'a>) -> Result<(), BadRequest> {
    let at = Path::Member(&Path::Root, "additionalModelRequestFields");
    let names = [
        "thinking",
        "top_k",
        "reasoning_effort",
        "reasoningConfig",
        "inferenceConfig",
    ];
    let [thinking, top_k, effort, nova, inference] = unread.members(extra, &at, names)?;
    let thoughts = [
        (
            "thinking",
            thinking,
            anthropic_thinking as fn(Node<'_>) -> Option<Thinking>,
        ),
        ("reasoning_effort", effort, |node| thinking_of(node, None)),
        ("reasoningConfig", nova, nova_thinking),
    ];
    for (name, node, read) in thoughts {
        let Some(node) = node else { continue };
        match read(node) {
            Some(thinking) if request.thinking.is_none() => request.thinking = Some(thinking),
            _ => unread.note(&at.member(name)),
        }
    }
    let nova_top_k = inference.and_then(|node| only_member(node, "topK"));
    for (name, node, number) in [("top_k", top_k, top_k), ("inferenceConfig", inference, nova_top_k)] {
        if node.is_none() {
            continue;
        }
        match number.and_then(Node::unsigned) {
            Some(number) if request.sampling.top_k.is_none() => request.sampling.top_k = Some(number),
            _ => unread.note(&at.member(name)),
        }
    }
    Ok(())
}

fn only_member<'a>(object: Node<'a>, name: &str) -> Option<Node<'a>> {
    let mut members = object.members();
    let (key, value) = members.next()?;
    (key == name && members.next().is_none()).then_some(value)
}

fn anthropic_thinking(node: Node<'_>) -> Option<Thinking> {
    let known = |key: &str| matches!(key, "type" | "budget_tokens" | "display");
    if !node.is_object() || !node.members().all(|(key, _)| known(&key)) {
        return None;
    }
    let shown = match node.get("display").filter(|display| !display.is_null()) {
        None => None,
        Some(display) if display.is("summarized") => Some(true),
        Some(display) if display.is("omitted") => Some(false),
        Some(_) => return None,
    };
    let amount = match &*node.get("type")?.string()? {
        "enabled" => Amount::BudgetTokens(node.get("budget_tokens")?.unsigned()?),
        "adaptive" => Amount::Adaptive,
        "disabled" => Amount::Off,
        _ => return None,
    };
    Some(Thinking { amount, shown })
}

fn nova_thinking(node: Node<'_>) -> Option<Thinking> {
    let known = |key: &str| matches!(key, "type" | "maxReasoningEffort");
    if !node.members().all(|(key, _)| known(&key)) {
        return None;
    }
    match &*node.get("type")?.string()? {
        "enabled" => thinking_of(node.get("maxReasoningEffort")?, None),
        "disabled" => Some(Thinking {
            amount: Amount::Off,
            shown: None,
        }),
        _ => None,
    }
}

fn thinking_of(effort: Node<'_>, shown: Option<bool>) -> Option<Thinking> {
    let effort = match &*effort.string()? {
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        _ => return None,
    };
    let amount = Amount::Effort(effort);
    Some(Thinking { amount, shown })
}

/// Where a conversation stands. A model that counts what it thinks goes on thinking only where it thought before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The user has spoken.
    Asked,
    /// Between calls of tools, before which it thought.
    Thoughtful,
    /// Between calls of tools, and nobody handed back a thought.
    Thoughtless,
    /// An assistant's turn is to be continued: without thinking.
    Prefilled,
}

/// What is written of thinking and top-k, and what thinking forbids beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extras {
    thinking: Form,
    top_k: Option<u64>,
    /// `outputConfig.effort`.
    pub effort: Option<&'static str>,
    /// The model thinks, and then takes no temperature and no low top-p.
    pub fixed_sampling: bool,
    is_nova: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Form {
    #[default]
    Unsaid,
    Anthropic {
        kind: &'static str,
        budget_tokens: Option<u64>,
        display: Option<&'static str>,
    },
    Nova(Option<&'static str>),
    OpenAi(&'static str),
}

impl Extras {
    /// Decides what can be said to `vendor`'s model. `max_tokens` is what will be written.
    pub fn of(
        request: &Request<'_>,
        to: &TargetFacts<'_>,
        vendor: Vendor,
        standing: Standing,
        max_tokens: Option<u64>,
        drops: &mut Drops,
    ) -> Extras {
        let mut extras = Extras {
            top_k: request.sampling.top_k,
            is_nova: vendor == Vendor::Nova,
            ..Extras::default()
        };
        let form = to.quirks.thinking_form;
        if let Some(thinking) = request.thinking {
            match vendor {
                Vendor::Anthropic if may_think(request, thinking, form, standing) => {
                    extras.think_as_claude(thinking, form, max_tokens, drops);
                }
                Vendor::Anthropic => drops.note(Feature::Thinking),
                Vendor::Nova => extras.thinking = Form::Nova(short_effort(thinking.amount)),
                Vendor::OpenAi => match short_effort(thinking.amount) {
                    Some(effort) => extras.thinking = Form::OpenAi(effort),
                    None => drops.note(Feature::Thinking),
                },
                Vendor::Other => drops.note_if(Feature::Thinking, thinking.amount != Amount::Off),
            }
        }
        let known = matches!(vendor, Vendor::Anthropic | Vendor::Nova);
        let takes_top_k = known && to.quirks.sampling && !extras.fixed_sampling;
        if extras.top_k.is_some() && !takes_top_k {
            drops.note(Feature::TopK);
            extras.top_k = None;
        }
        extras
    }

    fn think_as_claude(&mut self, thinking: Thinking, form: ThinkingForm, max_tokens: Option<u64>, drops: &mut Drops) {
        let said = |kind, budget_tokens| Form::Anthropic {
            kind,
            budget_tokens,
            display: match thinking.shown {
                Some(shown) if form != ThinkingForm::Budget => Some(if shown { "summarized" } else { "omitted" }),
                _ => None,
            },
        };
        if thinking.amount == Amount::Off {
            self.thinking = Form::Anthropic {
                kind: "disabled",
                budget_tokens: None,
                display: None,
            };
            return;
        }
        let effort = match thinking.amount {
            Amount::Effort(effort) => effort,
            Amount::BudgetTokens(tokens) => Effort::of_budget_tokens(tokens),
            Amount::Adaptive | Amount::Off => Effort::Medium,
        };
        if !counts(form, thinking.amount) {
            self.thinking = said("adaptive", None);
            self.effort = (thinking.amount != Amount::Adaptive).then(|| long_effort(effort));
        } else {
            let asked = match thinking.amount {
                Amount::BudgetTokens(tokens) => tokens,
                _ => effort.budget_tokens(),
            };
            // Thoughts are part of the answer's tokens, and must leave some of them.
            let most = max_tokens.map_or(u64::MAX, |most| most.saturating_sub(1));
            if most < LEAST_BUDGET_TOKENS {
                drops.note(Feature::Thinking);
                return;
            }
            let budget = asked.clamp(LEAST_BUDGET_TOKENS, most);
            let exact = matches!(thinking.amount, Amount::BudgetTokens(_));
            drops.note_if(Feature::Thinking, exact && budget != asked);
            self.thinking = said("enabled", Some(budget));
        }
        self.fixed_sampling = true;
    }

    /// Writes the member, where there is something to say.
    pub fn write(&self, json: &mut Out<'_>) {
        if self.thinking == Form::Unsaid && self.top_k.is_none() {
            return;
        }
        json.key("additionalModelRequestFields").open();
        match self.thinking {
            Form::Unsaid => {}
            Form::Anthropic {
                kind,
                budget_tokens,
                display,
            } => {
                json.key("thinking").open().key("type").string(kind);
                if let Some(tokens) = budget_tokens {
                    json.key("budget_tokens").unsigned(tokens);
                }
                if let Some(display) = display {
                    json.key("display").string(display);
                }
                json.close();
            }
            Form::Nova(None) => {
                json.key("reasoningConfig")
                    .open()
                    .key("type")
                    .string("disabled")
                    .close();
            }
            Form::Nova(Some(effort)) => {
                json.key("reasoningConfig").open().key("type").string("enabled");
                json.key("maxReasoningEffort").string(effort).close();
            }
            Form::OpenAi(effort) => {
                json.key("reasoning_effort").string(effort);
            }
        }
        match self.top_k {
            Some(top_k) if self.is_nova => {
                json.key("inferenceConfig").open().key("topK").unsigned(top_k).close();
            }
            Some(top_k) => {
                json.key("top_k").unsigned(top_k);
            }
            None => {}
        }
        json.close();
    }
}

/// Models that think cannot be made to call a tool, nor be given words to go on from.
fn may_think(request: &Request<'_>, thinking: Thinking, form: ThinkingForm, standing: Standing) -> bool {
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    let broken_off = standing == Standing::Thoughtless && counts(form, thinking.amount);
    thinking.amount == Amount::Off || !(forced || broken_off || standing == Standing::Prefilled)
}

/// Is the model told so much in tokens?
fn counts(form: ThinkingForm, amount: Amount) -> bool {
    match form {
        ThinkingForm::Budget => true,
        ThinkingForm::AsAsked => matches!(amount, Amount::BudgetTokens(_)),
        ThinkingForm::Adaptive => false,
    }
}

fn long_effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Most => "max",
    }
}

/// For models that know three words; `None` for none at all.
fn short_effort(amount: Amount) -> Option<&'static str> {
    let effort = match amount {
        Amount::Off => return None,
        Amount::Adaptive => Effort::Medium,
        Amount::BudgetTokens(tokens) => Effort::of_budget_tokens(tokens),
        Amount::Effort(effort) => effort,
    };
    Some(match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::Most => "high",
    })
}
