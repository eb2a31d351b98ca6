//! The settings of a client's request: sampling, thinking, output, and who the user is.

use crate::{
    canonical::{
        bad::BadRequest,
        request::{Amount, CacheMark, Effort, Format, Request, Sampling, Thinking},
    },
    json::{Node, Number, Text},
};

use super::{path::Path, reader::Reader};

/// Anthropic's own bound.
const MAX_STOP_SEQUENCES: usize = 8_191;

impl<'a> Reader<'a> {
    /// `max_tokens`, `temperature`, `top_p`, `top_k` and `stop_sequences`.
    pub(super) fn sampling(
        &mut self,
        members: [Option<Node<'a>>; 5],
        sampling: &mut Sampling<'a>,
    ) -> Result<(), BadRequest> {
        let top = Path::TOP;
        let [max_tokens, temperature, top_p, top_k, stop] = members;
        let max_tokens = top.required("max_tokens", max_tokens)?;
        sampling.max_tokens = Some(top.member("max_tokens").unsigned(max_tokens)?);
        sampling.temperature = fraction(temperature, &top.member("temperature"))?;
        sampling.top_p = fraction(top_p, &top.member("top_p"))?;
        if let Some(node) = top_k {
            sampling.top_k = Some(top.member("top_k").unsigned(node)?);
        }
        if let Some(node) = stop {
            sampling.stop = texts(node, &top.member("stop_sequences"))?;
        }
        Ok(())
    }

    /// `thinking`, `output_config` and `output_format`, its older form.
    pub(super) fn thinking_and_output(
        &mut self,
        [thinking, output, format]: [Option<Node<'a>>; 3],
        request: &mut Request<'a>,
    ) -> Result<(), BadRequest> {
        let top = Path::TOP;
        let path = top.member("output_config");
        let (mut effort, mut new_format) = (None, None);
        if let Some(node) = output {
            [effort, new_format] = self.unread.members(node, &path, ["effort", "format"])?;
        }
        if let Some(node) = thinking {
            request.thinking = self.thinking(node, &top.member("thinking"))?;
        }
        if let Some(node) = effort {
            let effort = read_effort(node, &path.member("effort"))?;
            match &mut request.thinking {
                None => {
                    request.thinking = Some(Thinking {
                        amount: Amount::Effort(effort),
                        shown: None,
                    });
                }
                Some(thinking) if thinking.amount == Amount::Adaptive => thinking.amount = Amount::Effort(effort),
                // A budget says it better, and without thinking there is nothing to say it of.
                Some(_) => self.unread.note(&path.member("effort")),
            }
        }
        match (new_format, format) {
            (Some(node), Some(_)) => Err(path
                .member("format")
                .wrong("stands beside 'output_format': one will do", node)),
            (Some(node), None) => self.format(node, &path.member("format"), request),
            (None, Some(node)) => self.format(node, &top.member("output_format"), request),
            (None, None) => Ok(()),
        }
    }

    fn thinking(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Option<Thinking>, BadRequest> {
        let [kind, budget, display] = self.unread.members(node, path, ["type", "budget_tokens", "display"])?;
        let kind_node = path.required("type", kind)?;
        let kind = path.member("type").word(kind_node)?;
        let amount = match kind.as_ref() {
            "enabled" => {
                let budget = path.required("budget_tokens", budget)?;
                Amount::BudgetTokens(path.member("budget_tokens").unsigned(budget)?)
            }
            "adaptive" => Amount::Adaptive,
            "disabled" => Amount::Off,
            // When to think between tool calls is Anthropic's alone.
            "between_tools" => {
                self.unread.note(&path.member("type"));
                return Ok(None);
            }
            _ => {
                let wrong = "must be 'enabled', 'adaptive', 'disabled' or 'between_tools'";
                return Err(path.member("type").wrong(wrong, kind_node));
            }
        };
        let lost = kind != "enabled" && budget.is_some();
        self.unread.note_if(&path.member("budget_tokens"), lost);
        let shown = match display {
            None => None,
            Some(node) if node.is("summarized") => Some(true),
            Some(node) if node.is("omitted") => Some(false),
            Some(node) => return Err(path.member("display").wrong("must be 'summarized' or 'omitted'", node)),
        };
        Ok(Some(Thinking { amount, shown }))
    }

    fn format(&mut self, node: Node<'a>, path: &Path<'_>, request: &mut Request<'a>) -> Result<(), BadRequest> {
        let [kind, schema] = self.unread.members(node, path, ["type", "schema"])?;
        let kind = path.required("type", kind)?;
        if !kind.is("json_schema") {
            return Err(path.member("type").wrong("must be 'json_schema'", kind));
        }
        let schema = path.required("schema", schema)?;
        if !schema.is_object() {
            return Err(path.member("schema").wrong("must be an object: a JSON schema", schema));
        }
        request.format = Format::Schema {
            name: None,
            description: None,
            schema: schema.raw().into(),
            strict: None,
        };
        Ok(())
    }

    /// `metadata.user_id`.
    pub(super) fn user(&mut self, node: Node<'a>, path: &Path<'_>) -> Result<Option<Text<'a>>, BadRequest> {
        let [user] = self.unread.members(node, path, ["user_id"])?;
        user.map(|user| path.member("user_id").text(user)).transpose()
    }

    /// The `cache_control` of what stands at `above`.
    pub(super) fn cache(&mut self, node: Option<Node<'a>>, above: &Path<'_>) -> Result<Option<CacheMark>, BadRequest> {
        let Some(node) = node else { return Ok(None) };
        let path = above.member("cache_control");
        let [kind, ttl] = self.unread.members(node, &path, ["type", "ttl"])?;
        let kind = path.required("type", kind)?;
        if !kind.is("ephemeral") {
            return Err(path.member("type").wrong("must be 'ephemeral'", kind));
        }
        match ttl {
            None => Ok(Some(CacheMark::Short)),
            Some(ttl) if ttl.is("5m") => Ok(Some(CacheMark::Short)),
            Some(ttl) if ttl.is("1h") => Ok(Some(CacheMark::OneHour)),
            Some(ttl) => Err(path.member("ttl").wrong("must be '5m' or '1h'", ttl)),
        }
    }
}

fn fraction<'a>(node: Option<Node<'a>>, path: &Path<'_>) -> Result<Option<Number<'a>>, BadRequest> {
    let Some(node) = node else { return Ok(None) };
    match node.number() {
        Some(number) if (0.0..=1.0).contains(&number.value()) => Ok(Some(number)),
        _ => Err(path.wrong("must be a number from 0 to 1", node)),
    }
}

fn texts<'a>(node: Node<'a>, path: &Path<'_>) -> Result<Vec<Text<'a>>, BadRequest> {
    if !node.is_array() {
        return Err(path.wrong("must be a list of strings", node));
    }
    let mut texts = Vec::new();
    for (position, element) in node.elements().enumerate() {
        if position == MAX_STOP_SEQUENCES {
            return Err(path.wrong(format!("has more than {MAX_STOP_SEQUENCES} entries"), element));
        }
        texts.push(path.element(position).text(element)?);
    }
    Ok(texts)
}

fn read_effort(node: Node<'_>, path: &Path<'_>) -> Result<Effort, BadRequest> {
    match path.word(node)?.as_ref() {
        "low" => Ok(Effort::Low),
        "medium" => Ok(Effort::Medium),
        "high" => Ok(Effort::High),
        "xhigh" | "max" => Ok(Effort::Most),
        _ => Err(path.wrong("must be 'low', 'medium', 'high', 'xhigh' or 'max'", node)),
    }
}
