//! The most tokens that a prompt can be, whatever its provider's tokenizer: for limits that must hold.
//!
//! No tokenizer that reads bytes makes more tokens than there are bytes, and JSON only lengthens a text; what a template puts
//! around a message is shorter than the JSON around it. Pictures have published formulas; for what has none there is no bound.

use super::image::{self, Detail, File, Rule};
use crate::{
    canonical::request::{Content, Media, MediaKind, Part, Request, Source},
    json::Text,
};

/// What a template has once, whatever is asked.
const PER_REQUEST: u64 = 64;
/// Telling a model that there are tools: Anthropic publishes some 300 to 700 tokens, the most of all who publish any.
const TOOLS: u64 = 1_024;

/// Why there is no bound: a sentence's end, for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbounded {
    /// A member names what lives at the provider.
    Owned(&'static str),
    /// A picture, for a model whose provider publishes no formula, or none that bounds it unseen.
    Picture,
    Document,
    Audio,
    Video,
}

impl Unbounded {
    /// For people.
    pub fn words(self) -> String {
        match self {
            Self::Owned(field) => {
                format!("'{field}' names what lives at the provider, and how long that is nobody here knows")
            }
            Self::Picture => {
                "it has a picture, and the model's provider publishes nothing that bounds what that counts as; \
                              where the picture's own bytes are sent there may be a bound"
                    .to_owned()
            }
            Self::Document => "it has a document, whose tokens cannot be told from its bytes; send its text".to_owned(),
            Self::Audio => "it has a sound, whose tokens cannot be told from its bytes".to_owned(),
            Self::Video => "it has a film, whose tokens cannot be told from its bytes".to_owned(),
        }
    }
}

/// Of a request in a body of so many bytes, to any of these models (by their providers' names).
pub fn most_prompt(request: &Request<'_>, body_bytes: usize, models: &[impl AsRef<str>]) -> Result<u64, Unbounded> {
    if let Some(owned) = request.owned.first() {
        return Err(Unbounded::Owned(owned.field));
    }
    let rules: Vec<Rule> = models.iter().map(|model| Rule::of_model(model.as_ref())).collect();
    let mut bound = Bound {
        tokens: body_bytes as u64,
        rules: &rules,
    };
    for turn in &request.turns {
        bound.parts(&turn.parts)?;
    }
    let tools = if request.tools.is_empty() { 0 } else { TOOLS };
    Ok(bound.tokens.saturating_add(tools + PER_REQUEST))
}

struct Bound<'r> {
    tokens: u64,
    rules: &'r [Rule],
}

impl Bound<'_> {
    fn parts(&mut self, parts: &[Part<'_>]) -> Result<(), Unbounded> {
        for part in parts {
            match &part.content {
                Content::Media(media) => self.media(media)?,
                Content::ToolResult { parts, .. } => {
                    // Results do not nest: a dialect has none within another.
                    for part in parts {
                        if let Content::Media(media) = &part.content {
                            self.media(media)?;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn media(&mut self, media: &Media<'_>) -> Result<(), Unbounded> {
        match (media.kind, &media.source) {
            (_, Source::Text(_)) => Ok(()),
            (_, Source::File(_)) => Err(Unbounded::Owned("file_id")),
            (MediaKind::Image, source) => self.picture(media, source),
            (MediaKind::Document, _) => Err(Unbounded::Document),
            (MediaKind::Audio, _) => Err(Unbounded::Audio),
            (MediaKind::Video, _) => Err(Unbounded::Video),
        }
    }

    fn picture(&mut self, media: &Media<'_>, source: &Source<'_>) -> Result<(), Unbounded> {
        // OpenAI's `original` has a bound of its own for each model, and not all of them publish it.
        if media.detail.as_ref().is_some_and(|detail| detail.is("original")) {
            return Err(Unbounded::Picture);
        }
        let stored = match source {
            Source::Base64(text) => stored(text),
            _ => &[],
        };
        let size = image::header::size(File::Base64(stored));
        let tokens = |rule: &Rule| match (size, *rule) {
            (_, Rule::Unknown) => None,
            (Some(size), rule) => Some(rule.tokens(size, Detail::High)),
            (None, rule) => rule.most(),
        };
        let mut most = 0;
        for rule in self.rules {
            most = most.max(tokens(rule).ok_or(Unbounded::Picture)?);
        }
        // Its bytes are no text.
        self.tokens = self.tokens.saturating_sub(stored.len() as u64).saturating_add(most);
        Ok(())
    }
}

fn stored<'a>(text: &'a Text<'_>) -> &'a [u8] {
    match text {
        Text::Plain(text) => text.as_bytes(),
        Text::Escaped(raw) => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        openai_chat,
        speak::{PathFacts, Speaks as _},
        tokens::{Memo, estimate_prompt},
    };

    fn most(body: &str, model: &str) -> Result<u64, Unbounded> {
        let path = PathFacts::default();
        let request = openai_chat::SPEAKS
            .read_request(body.as_bytes(), path)
            .expect("a request");
        let most = most_prompt(&request, body.len(), &[model])?;
        let counted = estimate_prompt(&request, model, usize::MAX, &mut Memo::default()).tokens;
        assert!(counted <= most, "{model}: {counted} of at most {most} in {body}");
        Ok(most)
    }

    fn with(part: &str) -> String {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{{"type":"text","text":"See:"}},{part}]}}]}}"#)
    }

    #[test]
    fn no_prompt_is_counted_as_more() {
        for text in [
            "hi",
            r"\u65e5\u672c\u8a9e",
            "日本語のテキスト",
            "😀🧑",
            "a a a a a a",
            r#"\n\n\t\"{}"#,
            "ﷺ",
        ] {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
            for model in ["gpt-5.4", "gpt-4", "claude-sonnet-5", "gemini-3-pro", "no-such-model"] {
                most(&body, model).expect("there is a bound");
            }
        }
        let tools = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#;
        assert!(most(tools, "claude-sonnet-5").expect("a bound") > 1_000);
    }

    #[test]
    fn pictures_count_by_formula_and_not_by_their_bytes() {
        let url = with(r#"{"type":"image_url","image_url":{"url":"https://x.test/a.png"}}"#);
        let tokens = most(&url, "gpt-4o").expect("tiles are bounded");
        assert_eq!(tokens, url.len() as u64 + 64 + 85 + 8 * 170);
        assert_eq!(
            most(&url, "gemini-2.5-pro"),
            Err(Unbounded::Picture),
            "tiles without end"
        );
        assert_eq!(most(&url, "llava"), Err(Unbounded::Picture));
        let pixels = "A".repeat(200_000);
        let body = with(&format!(
            r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{pixels}"}}}}"#
        ));
        assert!(most(&body, "gpt-4o").expect("a bound") < 2_000);
    }

    #[test]
    fn what_has_no_formula_has_no_bound() {
        let file =
            with(r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA","filename":"a.pdf"}}"#);
        assert_eq!(most(&file, "gpt-4o"), Err(Unbounded::Document));
        let audio = with(r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}"#);
        assert_eq!(most(&audio, "gpt-4o"), Err(Unbounded::Audio));
    }
}
