//! `usageMetadata`, to disjoint classes and back.
//!
//! `promptTokenCount` includes what was read from a cache; thoughts and the results of Google's own tools are counted
//! beside the rest. Details tell the modalities of a count; a provider that leaves a count out has said nothing of it.

use crate::{
    json::{Node, Out},
    usage::{Usage, without},
};

/// Reads the bytes of a `usageMetadata` value; `None` when it is no object, or says nothing.
pub(crate) fn usage_of_object(object: &[u8]) -> Option<Usage> {
    read(Node::document(object).ok()?)
}

/// Reads a `usageMetadata` value; `None` when it is no object, or says nothing.
pub(super) fn read(metadata: Node<'_>) -> Option<Usage> {
    let (mut prompt, mut tools, mut candidates) = (None, None, None);
    let (mut inputs, mut cached, mut outputs) = (Modalities::default(), Modalities::default(), Modalities::default());
    let mut usage = Usage::default();
    for (name, value) in metadata.members() {
        match &*name {
            "promptTokenCount" => prompt = value.unsigned(),
            "cachedContentTokenCount" => usage.cache_read = value.unsigned(),
            "toolUsePromptTokenCount" => tools = value.unsigned(),
            "candidatesTokenCount" => candidates = value.unsigned(),
            "thoughtsTokenCount" => usage.reasoning = value.unsigned(),
            "promptTokensDetails" => inputs = Modalities::read(value),
            "cacheTokensDetails" => cached = Modalities::read(value),
            "candidatesTokensDetails" => outputs = Modalities::read(value),
            _ => {}
        }
    }
    usage.input_audio = uncached(inputs.audio, cached.audio);
    usage.input_image = uncached(inputs.image, cached.image);
    usage.output_audio = outputs.audio;
    let plain = prompt.map(|all| without(all, &[usage.cache_read, usage.input_audio, usage.input_image]));
    usage.input = match (plain, tools) {
        (Some(plain), Some(tools)) => Some(plain.saturating_add(tools)),
        (plain, tools) => plain.or(tools),
    };
    usage.output = candidates.map(|all| without(all, &[usage.output_audio]));
    (usage != Usage::default()).then_some(usage)
}

fn uncached(all: Option<u64>, cached: Option<u64>) -> Option<u64> {
    all.map(|all| without(all, &[cached]))
}

/// The modalities that have classes of their own; text, film and documents have not.
#[derive(Default)]
struct Modalities {
    audio: Option<u64>,
    image: Option<u64>,
}

impl Modalities {
    fn read(details: Node<'_>) -> Modalities {
        let mut modalities = Modalities::default();
        for detail in details.elements() {
            let count = detail.get("tokenCount").and_then(Node::unsigned);
            match detail.get("modality").and_then(Node::string).as_deref() {
                Some("AUDIO") => modalities.audio = count,
                Some("IMAGE") => modalities.image = count,
                _ => {}
            }
        }
        modalities
    }
}

/// Appends the member's value.
pub(super) fn write(usage: &Usage, json: &mut Out<'_>) {
    let inputs = [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.input_audio,
        usage.input_image,
    ];
    json.open();
    if inputs.iter().any(Option::is_some) {
        json.key("promptTokenCount").unsigned(usage.all_input());
    }
    if let Some(cached) = usage.cache_read {
        json.key("cachedContentTokenCount").unsigned(cached);
    }
    if usage.output.is_some() || usage.output_audio.is_some() {
        let candidates = usage
            .output
            .unwrap_or(0)
            .saturating_add(usage.output_audio.unwrap_or(0));
        json.key("candidatesTokenCount").unsigned(candidates);
    }
    if let Some(thoughts) = usage.reasoning {
        json.key("thoughtsTokenCount").unsigned(thoughts);
    }
    json.key("totalTokenCount")
        .unsigned(usage.all_input().saturating_add(usage.all_output()));
    let text = without(usage.all_input(), &[usage.input_audio, usage.input_image]);
    let inputs = [("AUDIO", usage.input_audio), ("IMAGE", usage.input_image)];
    write_details("promptTokensDetails", text, &inputs, json);
    write_details(
        "candidatesTokensDetails",
        usage.output.unwrap_or(0),
        &[("AUDIO", usage.output_audio)],
        json,
    );
    json.close();
}

/// Only where there is more to tell than the count does.
fn write_details(member: &str, text: u64, others: &[(&str, Option<u64>)], json: &mut Out<'_>) {
    if others.iter().all(|(_, count)| count.is_none()) {
        return;
    }
    json.key(member).open_list();
    for (modality, count) in [("TEXT", Some(text))].iter().chain(others) {
        if let Some(count) = count {
            json.open()
                .key("modality")
                .string(modality)
                .key("tokenCount")
                .unsigned(*count)
                .close();
        }
    }
    json.close_list();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a provider says, and the classes it makes: input, cache_read, output, reasoning, input_audio, output_audio,
    /// input_image.
    #[test]
    fn counts_become_disjoint_classes() {
        for (said, classes) in [
            (
                r#"{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":15}"#,
                "10 – 5 – – – –",
            ),
            (
                r#"{"promptTokenCount":2006,"cachedContentTokenCount":1920,"candidatesTokenCount":44,
                    "thoughtsTokenCount":256}"#,
                "86 1920 44 256 – – –",
            ),
            (
                r#"{"promptTokenCount":120,"candidatesTokenCount":90,
                    "promptTokensDetails":[{"modality":"TEXT","tokenCount":15},{"modality":"AUDIO","tokenCount":100},
                    {"modality":"IMAGE","tokenCount":5}],
                    "candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":70}]}"#,
                "15 – 20 – 100 70 5",
            ),
            (
                r#"{"promptTokenCount":50,"cachedContentTokenCount":40,
                    "promptTokensDetails":[{"modality":"AUDIO","tokenCount":30}],
                    "cacheTokensDetails":[{"modality":"AUDIO","tokenCount":25}]}"#,
                "5 40 – – 5 – –",
            ),
            (
                r#"{"promptTokenCount":10,"toolUsePromptTokenCount":7,"candidatesTokenCount":0}"#,
                "17 – 0 – – – –",
            ),
            (r#"{"promptTokenCount":3,"cachedContentTokenCount":9}"#, "0 9 – – – – –"),
            (
                r#"{"promptTokenCount":-3,"candidatesTokenCount":1.5,"totalTokenCount":9}"#,
                "– – – – – – –",
            ),
        ] {
            let usage = usage_of_object(said.as_bytes()).unwrap_or_default();
            let read = [
                usage.input,
                usage.cache_read,
                usage.output,
                usage.reasoning,
                usage.input_audio,
                usage.output_audio,
                usage.input_image,
            ]
            .map(|count| count.map_or_else(|| "–".to_owned(), |count| count.to_string()))
            .join(" ");
            assert_eq!(read, classes, "{said}");
            let mut written = Vec::new();
            write(&usage, &mut Out::new(&mut written));
            assert_eq!(usage_of_object(&written).unwrap_or_default(), usage, "{said}");
        }
    }

    #[test]
    fn what_was_written_to_a_cache_is_part_of_the_prompt() {
        let usage = Usage {
            input: Some(1),
            cache_read: Some(10),
            cache_write_5m: Some(100),
            cache_write_1h: Some(1_000),
            output: Some(5),
            ..Usage::default()
        };
        let mut written = Vec::new();
        write(&usage, &mut Out::new(&mut written));
        let expected =
            r#"{"promptTokenCount":1111,"cachedContentTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":1116}"#;
        assert_eq!(String::from_utf8(written).expect("UTF-8"), expected);
    }
}
