//! From a mix's words to a mix, or to the fault in them: file, line, what is wrong, what would be right.

use std::path::{Path, PathBuf};

use serde_saphyr::Spanned;

use super::{
    Class, Kind, Leave, Manners, Mix, bodies,
    bodies::Turn,
    corpus::Corpus,
    distribution::{Distribution, Unit, Written},
    file::{ClassFile, KeysFile, MannersFile, MixFile, SizeFile, TurnsFile},
    plan::{Content, Keys, Plan, Repeat, Turns, Wanted},
    prose,
    weighted::Weighted,
};
use crate::dialect::Dialect;

const PROMPT_MOST_BYTES: f64 = 64.0 * 1024.0 * 1024.0;
const SYSTEM_MOST_BYTES: u64 = 4 * 1024 * 1024;
const TOKENS_MOST: f64 = 10_000_000.0;
const THINK_MOST_NS: f64 = 86_400e9;
const TURNS_MOST: f64 = 1000.0;
const AT_ONCE_MOST: u64 = 100_000;
const TEXTS_MOST: u64 = 2048;
const KEYS_MOST: usize = 10_000_000;
const ZIPF_MOST: f64 = 10.0;
const REPEATED_MOST: u64 = 1 << 40;
const READ_MOST: f64 = 1e12;

/// The file being checked, for its faults.
struct Site<'a> {
    file: &'a str,
    folder: PathBuf,
}

impl Site<'_> {
    fn fault<T>(&self, at: &Spanned<T>, what: impl std::fmt::Display) -> String {
        format!(
            "{}:{}:{}: {what}",
            self.file,
            at.referenced.line(),
            at.referenced.column()
        )
    }

    fn share(&self, share: &Spanned<f64>, name: &str) -> Result<f64, String> {
        match (0.0..=1.0).contains(&share.value) {
            true => Ok(share.value),
            false => Err(self.fault(
                share,
                format!("{name}: {} is no share; write a number from 0 to 1", share.value),
            )),
        }
    }

    fn number(&self, written: &Spanned<Written>, name: &str, unit: Unit, most: f64) -> Result<Distribution, String> {
        written
            .value
            .read(unit, most)
            .map_err(|why| self.fault(written, format!("{name}: {why}")))
    }

    fn size(&self, size: &Spanned<SizeFile>, name: &str) -> Result<Distribution, String> {
        let read = match (&size.value.tokens, &size.value.bytes) {
            (Some(tokens), None) => tokens
                .read(Unit::Count, TOKENS_MOST)
                .map(|tokens| tokens.scaled(prose::bytes_per_token())),
            (None, Some(bytes)) => bytes.read(Unit::Bytes, PROMPT_MOST_BYTES),
            _ => Err("write either tokens or bytes, as in { bytes: 4KiB }".to_owned()),
        };
        read.map_err(|why| self.fault(size, format!("{name}: {why}")))
    }

    fn keys(&self, keys: &Spanned<KeysFile>, name: &str) -> Result<Keys, String> {
        let mut secrets = Vec::new();
        for secret in &keys.value.secrets.value {
            let found = self
                .secrets(&secret.value)
                .map_err(|why| self.fault(secret, format!("{name}: {why}")))?;
            secrets.extend(found);
        }
        if secrets.is_empty() || secrets.len() > KEYS_MOST {
            let why = format!(
                "{name}: {} keys; give 1 to {KEYS_MOST}, or leave {name} out",
                secrets.len()
            );
            return Err(self.fault(&keys.value.secrets, why));
        }
        let zipf = match &keys.value.zipf {
            Some(zipf) if !(0.0..=ZIPF_MOST).contains(&zipf.value) => {
                let why = format!("{name}.zipf: write 0 (all alike) to {ZIPF_MOST}; 1.1 is usual");
                return Err(self.fault(zipf, why));
            }
            Some(zipf) => zipf.value,
            None => 0.0,
        };
        Ok(Keys::new(secrets, zipf))
    }

    fn secrets(&self, reference: &str) -> Result<Vec<Vec<u8>>, String> {
        let secrets: Vec<String> = if let Some(name) = reference.strip_prefix("env:") {
            let secret = std::env::var(name)
                .map_err(|_| format!("the environment has no {name}; set it, or name a file: file:PATH"))?;
            vec![secret]
        } else if let Some(path) = reference.strip_prefix("file:") {
            let path = self.folder.join(path);
            let text = std::fs::read_to_string(&path).map_err(|bad| format!("{}: {bad}", path.display()))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.map(str::to_owned).collect()
        } else {
            vec![reference.to_owned()]
        };
        match secrets
            .iter()
            .position(|secret| secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            // Which one, and not what it is: a fault goes to a terminal and into logs.
            Some(at) => Err(format!(
                "key {} of '{reference}' is empty or not plain visible ASCII",
                at + 1
            )),
            None => Ok(secrets.into_iter().map(String::into_bytes).collect()),
        }
    }
}

/// Checks what was read from `file`, whose paths are relative to `folder`.
pub fn mix(read: MixFile, file: &str, folder: &Path) -> Result<Mix, String> {
    let site = Site {
        file,
        folder: folder.to_owned(),
    };
    let mut classes = Vec::new();
    for (name, class) in &read.classes.value.0 {
        classes.push(self::class(&site, name, class)?);
    }
    let sum: f64 = classes.iter().map(|class| class.weight).sum();
    if classes.is_empty() || sum <= 0.0 {
        let why = match classes.is_empty() {
            true => "a mix needs at least one class",
            false => "the weights sum to zero, so nothing would be sent; give one class a weight over 0",
        };
        return Err(site.fault(&read.classes, format!("classes: {why}")));
    }
    let schedule = match &read.schedule {
        Some(schedule) => Some(schedule.value.read().map_err(|why| site.fault(schedule, why))?),
        None => None,
    };
    let stem = Path::new(file)
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let weights: Vec<f64> = classes.iter().map(|class| class.weight).collect();
    Ok(Mix {
        name: read.name.or(stem).unwrap_or_else(|| file.to_owned()),
        seed: read.seed,
        schedule,
        keys: read.keys.as_ref().map(|keys| site.keys(keys, "keys")).transpose()?,
        pick: Weighted::new(&weights),
        classes,
    })
}

fn class(site: &Site, name: &str, class: &Spanned<ClassFile>) -> Result<Class, String> {
    let read = &class.value;
    let at = |field: &str| format!("classes.{name}.{field}");
    if !read.weight.value.is_finite() || read.weight.value < 0.0 {
        return Err(site.fault(
            &read.weight,
            format!("{}: write a number that is not negative", at("weight")),
        ));
    }
    go_together(site, name, class)?;
    let wanted = wanted(site, name, read)?;
    let fault = |why: String| site.fault(class, format!("classes.{name}: {why}"));
    let content = content(site, name, class, &wanted)?;
    let streams_by_line = matches!(content, Content::Corpus(_)) && bodies::streams_by_body(wanted.dialect);
    let lines_stream = streams_by_line && wanted.kind == Kind::Chat;
    let stream_share = match (&read.stream, &content) {
        (Some(stream), _) if streams_by_line => {
            let why = "each line of a body file says itself whether it streams; leave it out";
            return Err(site.fault(stream, format!("{}: {why}", at("stream"))));
        }
        (Some(stream), _) => site.share(stream, &at("stream"))?,
        (None, Content::Corpus(corpus)) if lines_stream => corpus.stream_share(),
        (None, _) => 0.0,
    };
    let manners = match &read.manners {
        Some(manners) => {
            self::manners(&manners.value).map_err(|why| site.fault(manners, format!("{}: {why}", at("manners"))))?
        }
        None => Manners::default(),
    };
    let plan = Plan {
        method: wanted.method(!matches!(content, Content::None)).map_err(&fault)?,
        paths: wanted.paths().map_err(&fault)?,
        headers: wanted.header_pieces().map_err(&fault)?,
        turns: wanted.turns,
        keys: read
            .keys
            .as_ref()
            .map(|keys| site.keys(keys, &at("keys")))
            .transpose()?,
        repeat: repeat(site, name, read)?,
        think: match &read.think {
            Some(think) => site.number(think, &at("think"), Unit::Nanoseconds, THINK_MOST_NS)?,
            None => Distribution::Constant(0.0),
        },
        drawn_stream_share: if lines_stream { 0.0 } else { stream_share },
        lines_stream,
        content,
    };
    Ok(Class {
        name: name.to_owned(),
        weight: read.weight.value,
        dialect: wanted.dialect,
        kind: wanted.kind,
        manners,
        expect_status: expected(site, name, read)?,
        plan,
    })
}

/// Keys that exclude or need each other.
fn go_together(site: &Site, name: &str, class: &Spanned<ClassFile>) -> Result<(), String> {
    let read = &class.value;
    let kind = read.kind.unwrap_or(Kind::Chat);
    let has_own_body = read.body.is_some() || read.bodies.is_some();
    let is_list = matches!(kind, Kind::Embeddings | Kind::Moderations | Kind::Rerank);
    let rules = [
        (
            read.body.is_some() && read.bodies.is_some(),
            "write either body or bodies",
        ),
        (
            has_own_body && (read.system.is_some() || read.turns.is_some() || read.texts.is_some()),
            "with a body of its own a class has no system, turns or texts; write them into the body",
        ),
        (read.turns.is_some() && kind != Kind::Chat, "only kind: chat has turns"),
        (
            read.system.is_some() && kind != Kind::Chat,
            "only kind: chat has a system prompt",
        ),
        (read.stream.is_some() && kind != Kind::Chat, "only kind: chat streams"),
        (
            read.texts.is_some() && !is_list,
            "only embeddings, moderations and rerank have texts",
        ),
        (
            has_own_body && kind == Kind::Models,
            "kind: models has no body; choose kind: other",
        ),
        (
            read.prompt.is_some() && matches!(kind, Kind::Models | Kind::Other) && !has_own_body,
            "there is no body that the prompt could stand in; write body: with ${prompt} in it",
        ),
    ];
    match rules.iter().find(|(broken, _)| *broken) {
        Some((_, why)) => Err(site.fault(class, format!("classes.{name}: {why}"))),
        None => Ok(()),
    }
}

fn wanted(site: &Site, name: &str, read: &ClassFile) -> Result<Wanted, String> {
    let at = |field: &str| format!("classes.{name}.{field}");
    let mut wanted = Wanted::new(read.dialect.unwrap_or(Dialect::OpenAi), read.kind.unwrap_or(Kind::Chat));
    if let Some(model) = &read.model {
        wanted.model.clone_from(model);
    }
    wanted.method = read.method.as_ref().map(|method| method.value.clone());
    wanted.path = read.path.as_ref().map(|path| path.value.clone());
    wanted.body = read.body.as_ref().map(|body| body.value.trim().to_owned());
    if let Some(headers) = &read.headers {
        wanted.headers.clone_from(&headers.value.0);
    }
    if let Some(system) = &read.system {
        wanted.system_bytes = match site.size(system, &at("system"))? {
            Distribution::Constant(bytes) if bytes <= SYSTEM_MOST_BYTES as f64 => bytes as u64,
            _ => {
                let why = format!(
                    "{}: one size of at most {SYSTEM_MOST_BYTES} bytes, since all requests share it",
                    at("system")
                );
                return Err(site.fault(system, why));
            }
        };
    }
    if let Some(prompt) = &read.prompt {
        wanted.prompt = site.size(prompt, &at("prompt"))?;
    }
    if let Some(turns) = &read.turns {
        wanted.turns = Some(self::turns(site, &at("turns"), &turns.value)?);
    }
    if let Some(texts) = &read.texts {
        if !(1..=TEXTS_MOST).contains(&texts.value) {
            return Err(site.fault(texts, format!("{}: write 1 to {TEXTS_MOST}", at("texts"))));
        }
        wanted.texts = texts.value as usize;
    }
    if let Some(max_tokens) = &read.max_tokens {
        wanted.max_tokens = Some(site.number(max_tokens, &at("max_tokens"), Unit::Count, TOKENS_MOST)?);
    }
    Ok(wanted)
}

fn turns(site: &Site, name: &str, read: &TurnsFile) -> Result<Turns, String> {
    let size = |size: &Option<Spanned<SizeFile>>, field: &str, otherwise: f64| match size {
        Some(size) => site.size(size, &format!("{name}.{field}")),
        None => Ok(Distribution::Constant(otherwise)),
    };
    let at_once = match &read.at_once {
        Some(at_once) if !(1..=AT_ONCE_MOST).contains(&at_once.value) => {
            return Err(site.fault(at_once, format!("{name}.at_once: write 1 to {AT_ONCE_MOST}")));
        }
        Some(at_once) => at_once.value as usize,
        None => 32,
    };
    Ok(Turns {
        what: if read.tools { Turn::Tool } else { Turn::Talk },
        length: site.number(&read.length, &format!("{name}.length"), Unit::Count, TURNS_MOST)?,
        answer: size(&read.answer, "answer", 200.0)?,
        reply: size(&read.reply, "reply", 400.0)?,
        at_once,
    })
}

fn content(site: &Site, name: &str, class: &Spanned<ClassFile>, wanted: &Wanted) -> Result<Content, String> {
    if let Some(file) = &class.value.bodies {
        let own = |placeholder: &str| match placeholder {
            // Which of the two it is, the line says.
            "stream" => None,
            other => wanted.placeholder(other, false),
        };
        return match Corpus::open(&site.folder.join(&file.value), &own) {
            Ok(corpus) => Ok(Content::Corpus(corpus)),
            Err(why) => Err(site.fault(file, format!("classes.{name}.bodies: {why}"))),
        };
    }
    let fault = |why: String| match &class.value.body {
        Some(body) => site.fault(body, format!("classes.{name}.body: {why}")),
        None => site.fault(class, format!("classes.{name}: {why}")),
    };
    wanted.made().map_err(fault)
}

fn repeat(site: &Site, name: &str, read: &ClassFile) -> Result<Option<Repeat>, String> {
    let Some(repeat) = &read.repeat else { return Ok(None) };
    let (share, of) = (repeat.value.share, repeat.value.of);
    match (0.0..=1.0).contains(&share) && (1..=REPEATED_MOST).contains(&of) {
        true => Ok(Some(Repeat { share, of })),
        false => {
            let why = "write a share from 0 to 1 and of how many, as in { share: 0.3, of: 100 }";
            Err(site.fault(repeat, format!("classes.{name}.repeat: {why}")))
        }
    }
}

fn expected(site: &Site, name: &str, read: &ClassFile) -> Result<Vec<u16>, String> {
    let Some(expect) = &read.expect else {
        return Ok(Vec::new());
    };
    match expect.value.0.iter().all(|status| (200..600).contains(status)) {
        true => Ok(expect.value.0.clone()),
        false => Err(site.fault(expect, format!("classes.{name}.expect: write statuses from 200 to 599"))),
    }
}

fn manners(read: &MannersFile) -> Result<Manners, String> {
    let one = |written: &Written, field: &str| match written.read(Unit::Bytes, READ_MOST) {
        Ok(Distribution::Constant(bytes)) if bytes >= 1.0 => Ok(bytes as u64),
        _ => Err(format!("{field}: write one size over 0, as in 4KiB")),
    };
    let leave = match &read.leave {
        Some(leave) if !(0.0..=1.0).contains(&leave.share) => {
            return Err("leave.share: write a number from 0 to 1".to_owned());
        }
        Some(leave) => Some(Leave {
            share: leave.share,
            after_bytes: one(&leave.after_bytes, "leave.after_bytes")?,
        }),
        None => None,
    };
    Ok(Manners {
        read_bytes_per_second: match &read.read_bytes_per_second {
            Some(rate) => Some(one(rate, "read_bytes_per_second")?),
            None => None,
        },
        leave,
        send_byte_at_a_time: read.send_byte_at_a_time,
    })
}
