//! YAML 1.2 text → tree and positions, by the parser's event stream, so that keys written twice, keys that are not
//! text and aliases without end are found where they stand.

use std::{borrow::Cow, collections::HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::{
    MAX_ALIAS_BYTES, MAX_DEPTH, Parsed, duplicate,
    positions::{PointerHash, Positions},
    scalar, too_deep,
};
use crate::{
    pointer,
    problem::{Position, Problem},
};

pub fn parse(text: &str) -> Result<Parsed, Vec<Problem>> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        pointer: String::new(),
        hash: PointerHash::ROOT,
        positions: Positions::default(),
        problems: Vec::new(),
        anchors: HashMap::new(),
        copied_bytes: 0,
    };
    match reader.document() {
        Ok(tree) if reader.problems.is_empty() => Ok(Parsed {
            tree,
            positions: reader.positions,
        }),
        _ => Err(reader.problems),
    }
}

/// The text cannot be read further; the fault is noted already.
struct Stop;

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    pointer: String,
    /// That of `pointer`.
    hash: PointerHash,
    positions: Positions,
    problems: Vec<Problem>,
    /// Complete anchored values; an alias to one that is still being read refers to itself.
    anchors: HashMap<usize, Anchored>,
    copied_bytes: usize,
}

#[derive(Clone)]
struct Anchored {
    value: Value,
    bytes: usize,
    depth: usize,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Result<Value, Stop> {
        let mut tree = Value::Null;
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::DocumentStart(_) if documents == 1 => {
                    self.fault(span, "a second document begins here", "one document in one file");
                    return Err(Stop);
                }
                Event::DocumentStart(_) => documents += 1,
                event => {
                    let begin = position(&span.start);
                    tree = self.value(event, span, begin, 1)?;
                }
            }
        }
        if self.positions.at(PointerHash::ROOT).is_none() {
            self.positions
                .insert(PointerHash::ROOT, Position { line: 1, column: 1 });
        }
        Ok(tree)
    }

    /// Reads one value whose first event is given; `begin` is where it is said to begin when it is a list or map.
    fn value(&mut self, event: Event<'t>, span: Span, begin: Position, depth: usize) -> Result<Value, Stop> {
        let collection = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        let here = if collection { begin } else { position(&span.start) };
        self.positions.insert(self.hash, here);
        if collection && depth > MAX_DEPTH {
            self.problems.push(too_deep(&self.pointer, here));
            return Err(Stop);
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => (self.scalar(text, style, tag, span), anchor),
            Event::SequenceStart(anchor, tag) => {
                self.collection_tag(tag, "seq", span);
                (self.list(depth)?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.collection_tag(tag, "map", span);
                (self.map(depth)?, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor, span, depth),
            // Anything else where a value belongs would be a fault of the parser.
            _ => {
                self.fault(
                    span,
                    "a value was expected here",
                    "text, a number, true, false, a list or a map",
                );
                return Err(Stop);
            }
        };
        if anchor != 0 {
            let (bytes, depth) = measure(&value);
            self.count_copy(bytes, span)?;
            self.anchors.insert(
                anchor,
                Anchored {
                    value: value.clone(),
                    bytes,
                    depth,
                },
            );
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        let outer = (self.pointer.len(), self.hash);
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            self.enter(&items.len().to_string());
            let begin = position(&span.start);
            items.push(self.value(event, span, begin, depth + 1)?);
            self.leave(outer);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut map = Map::new();
        let outer = (self.pointer.len(), self.hash);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(map));
            }
            let begin = position(&span.start);
            let key = self.key(event, span, depth)?;
            let Some(name) = key else {
                // A key that is at fault still has a value to be read past, which may have faults of its own.
                let (event, span) = self.next()?;
                self.value(event, span, begin, depth + 1)?;
                continue;
            };
            self.enter(&name);
            let first = map.contains_key(&*name).then(|| self.positions.at(self.hash));
            let (event, span) = self.next()?;
            let value = self.value(event, span, begin, depth + 1)?;
            if let Some(first) = first {
                self.problems.push(duplicate(&self.pointer, &name, first, begin));
            }
            map.insert(name.into_owned(), value);
            self.leave(outer);
        }
    }

    /// A map's key; `None` when it is no text, which is noted.
    fn key(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Option<Cow<'t, str>>, Stop> {
        match event {
            Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<" => {
                self.fault(
                    span,
                    "merge keys (`<<`) are not part of YAML 1.2",
                    "write the keys out, or alias whole values",
                );
                Ok(None)
            }
            Event::Scalar(text, style, _, tag) => {
                let value = self.scalar(text.clone(), style, tag, span);
                if !value.is_string() {
                    let shown = text.escape_debug();
                    self.fault(
                        span,
                        format!("the key `{shown}` is not text"),
                        format!("quote it: \"{shown}\""),
                    );
                    return Ok(None);
                }
                Ok(Some(text))
            }
            Event::Alias(_) => {
                self.fault(span, "an alias stands where a key belongs", "write the key out");
                Ok(None)
            }
            collection => {
                self.fault(span, "a list or map stands where a key belongs", "a key that is text");
                let begin = position(&span.start);
                self.value(collection, span, begin, depth + 1)?;
                Ok(None)
            }
        }
    }

    fn scalar(&mut self, text: Cow<'t, str>, style: ScalarStyle, tag: Option<Cow<'t, Tag>>, span: Span) -> Value {
        let Some(tag) = tag else {
            if style != ScalarStyle::Plain {
                return Value::String(text.into_owned());
            }
            return scalar::plain(&text).unwrap_or_else(|why| {
                self.fault(
                    span,
                    format!("`{}` {why}", text.escape_debug()),
                    "quote it if it is text",
                );
                Value::Null
            });
        };
        let fits = |value: &Value| match tag.suffix.as_str() {
            "int" => value.is_i64() || value.is_u64(),
            "float" => value.is_number(),
            "bool" => value.is_boolean(),
            "null" => value.is_null(),
            _ => false,
        };
        if (tag.is_yaml_core_schema() && tag.suffix == "str") || is_non_specific(&tag) {
            return Value::String(text.into_owned());
        }
        let value = scalar::plain(&text)
            .ok()
            .filter(|value| tag.is_yaml_core_schema() && fits(value));
        value.unwrap_or_else(|| {
            self.fault(
                span,
                format!("the tag `{tag}` does not fit this value"),
                "remove the tag",
            );
            Value::Null
        })
    }

    fn collection_tag(&mut self, tag: Option<Cow<'t, Tag>>, expected: &str, span: Span) {
        if let Some(tag) = tag
            && !is_non_specific(&tag)
            && !(tag.is_yaml_core_schema() && tag.suffix == expected)
        {
            self.fault(
                span,
                format!("the tag `{tag}` does not fit this value"),
                "remove the tag",
            );
        }
    }

    fn alias(&mut self, anchor: usize, span: Span, depth: usize) -> Result<Value, Stop> {
        let Some(Anchored {
            bytes, depth: inner, ..
        }) = self.anchors.get(&anchor)
        else {
            self.fault(
                span,
                "this alias refers to a value that contains it",
                "write the value out",
            );
            return Err(Stop);
        };
        let (bytes, inner) = (*bytes, *inner);
        if depth + inner > MAX_DEPTH + 1 {
            self.problems.push(too_deep(&self.pointer, position(&span.start)));
            return Err(Stop);
        }
        self.count_copy(bytes, span)?;
        Ok(self.anchors[&anchor].value.clone())
    }

    fn count_copy(&mut self, bytes: usize, span: Span) -> Result<(), Stop> {
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        if self.copied_bytes <= MAX_ALIAS_BYTES {
            return Ok(());
        }
        self.fault(
            span,
            format!("aliases expand to more than {MAX_ALIAS_BYTES} bytes"),
            "fewer or smaller aliases",
        );
        Err(Stop)
    }

    fn enter(&mut self, token: &str) {
        let outer = self.pointer.len();
        pointer::push(&mut self.pointer, token);
        self.hash = self.hash.then(&self.pointer[outer..]);
    }

    fn leave(&mut self, (length, hash): (usize, PointerHash)) {
        self.pointer.truncate(length);
        self.hash = hash;
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        let end = Position { line: 1, column: 1 };
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let here = position(error.marker());
                let problem = Problem::new(self.pointer.as_str(), error.info(), "YAML 1.2 or JSON").at(here);
                self.problems.push(problem);
                Err(Stop)
            }
            None => {
                self.problems
                    .push(Problem::new("", "the text ends too early", "YAML 1.2 or JSON").at(end));
                Err(Stop)
            }
        }
    }

    fn fault(&mut self, span: Span, wrong: impl Into<String>, right: impl Into<String>) {
        self.problems
            .push(Problem::new(self.pointer.as_str(), wrong, right).at(position(&span.start)));
    }
}

/// `!`: the author asks for no interpretation.
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

/// What a copy of the value costs, and how deep it nests (a scalar: 0).
fn measure(value: &Value) -> (usize, usize) {
    const NODE_BYTES: usize = 64;
    match value {
        Value::String(text) => (NODE_BYTES + text.len(), 0),
        Value::Array(items) => items.iter().map(measure).fold((NODE_BYTES, 1), sum),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let (bytes, depth) = measure(value);
                (bytes + key.len() + NODE_BYTES, depth)
            })
            .fold((NODE_BYTES, 1), sum),
        _ => (NODE_BYTES, 0),
    }
}

fn sum((bytes, depth): (usize, usize), (more, inner): (usize, usize)) -> (usize, usize) {
    (bytes + more, depth.max(inner + 1))
}

/// The parser counts lines from 1 and columns from 0.
fn position(mark: &Marker) -> Position {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Position {
        line: number(mark.line()).max(1),
        column: number(mark.col()).saturating_add(1),
    }
}
