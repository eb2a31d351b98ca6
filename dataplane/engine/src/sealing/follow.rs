//! Follows a JSON document that passes in slices, and tells of the strings that may be ids: whose member each is, and
//! where it stands. No tree, no grammar (it is no validator), and no more memory than one id takes.

use std::ops::Range;

use tollgate_dialect::canonical::sealed_id::MAX_SEALED_BYTES;
use tollgate_wire::{
    Span,
    json::cursor::{self, Kind, MAX_DEPTH, Value},
};

/// The members whose names matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Name {
    #[default]
    Other,
    Content,
    Conversation,
    ErrorFileId,
    File,
    FileData,
    FileId,
    FileIds,
    FileUri,
    Id,
    /// Of Anthropic's tool calls: what a tool is called with.
    Input,
    InputFileId,
    Messages,
    /// What stands below is the user's own, whatever its names.
    Opaque,
    OutputFileId,
    PartIds,
    PreviousResponseId,
    Prompt,
    Response,
    ResultsUrl,
    UploadId,
    Source,
    Variables,
}

impl Name {
    fn of(key: &[u8]) -> Name {
        match key {
            b"content" => Name::Content,
            b"conversation" => Name::Conversation,
            b"error_file_id" => Name::ErrorFileId,
            b"file" => Name::File,
            b"fileData" | b"file_data" => Name::FileData,
            b"fileUri" | b"file_uri" => Name::FileUri,
            b"file_id" => Name::FileId,
            b"file_ids" => Name::FileIds,
            b"id" => Name::Id,
            b"input" => Name::Input,
            b"input_file_id" => Name::InputFileId,
            b"messages" => Name::Messages,
            b"input_schema" | b"metadata" | b"parameters" | b"schema" => Name::Opaque,
            b"output_file_id" => Name::OutputFileId,
            b"part_ids" => Name::PartIds,
            b"previous_response_id" => Name::PreviousResponseId,
            b"prompt" => Name::Prompt,
            b"response" => Name::Response,
            b"results_url" => Name::ResultsUrl,
            b"upload_id" => Name::UploadId,
            b"source" => Name::Source,
            b"variables" => Name::Variables,
            _ => Name::Other,
        }
    }
}

impl Name {
    /// Of a key that has escapes; one that was cut between slices is no name.
    fn of_escaped(key: &[u8]) -> Name {
        let quoted = [b"\"", key, b"\""].concat();
        let whole = Value {
            span: Span::new(0, quoted.len()),
            kind: Kind::String,
        };
        cursor::string(&quoted, whole).map_or(Name::Other, |key| Name::of(key.as_bytes()))
    }
}

/// Longer keys are `Name::Other`.
const MAX_NAME_BYTES: usize = 24;

/// A string that was looked for.
pub(crate) struct Found<'a> {
    /// Of the slice just fed, without the quotes. Where the string began in an earlier one it starts at zero.
    pub at: Range<usize>,
    /// Whole, as it stands in the document.
    pub text: &'a [u8],
    /// It is whole, has no escapes, and is no longer than an id.
    pub clean: bool,
}

/// Members from the outside in; an array's elements have its name.
pub(crate) type Path = [Name];

#[derive(Debug)]
pub(crate) struct Follow {
    depth: usize,
    names: [Name; MAX_DEPTH],
    /// Per open container, the outermost lowest: is it an object?
    objects: u128,
    state: State,
    /// Of a key or a string that is looked for: what came in earlier slices.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between strings. In an object a key comes next where `key`.
    Between {
        key: bool,
    },
    Text {
        what: Text,
        escaped: bool,
        escapes: bool,
    },
    /// Deeper than documents go: nothing is looked for any more.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Key,
    Wanted,
    Unwanted,
}

impl Default for Follow {
    fn default() -> Self {
        Follow {
            depth: 0,
            names: [Name::Other; MAX_DEPTH],
            objects: 0,
            state: State::Between { key: false },
            held: Vec::new(),
        }
    }
}

impl Follow {
    /// Takes the next slice; `wants` says which members are looked for. Gives how many bytes at its end belong to a string
    /// that is not yet whole: its `Found` will have them, and they must not pass before.
    pub fn feed(&mut self, slice: &[u8], wants: fn(&Path) -> bool, mut found: impl FnMut(&Path, Found<'_>)) -> usize {
        let mut at = 0;
        // Where the string that is open began in this slice.
        let mut start = 0;
        while at < slice.len() {
            match self.state {
                State::Lost => return 0,
                State::Between { key } => {
                    if slice[at] == b'"' {
                        start = at + 1;
                    }
                    self.structural(slice[at], key, wants);
                    at += 1;
                }
                State::Text { what, escaped, escapes } => {
                    let (end, state) = text_end(slice, at, escaped, escapes);
                    let Some(end) = end else {
                        self.state = State::Text {
                            what,
                            escaped: state.0,
                            escapes: state.1,
                        };
                        break;
                    };
                    self.text_ends(slice, start..end, (what, state.1), &mut found);
                    at = end + 1;
                }
            }
        }
        self.hold(slice, start, &mut found)
    }

    /// What was held back of a string that never ended. What is held of a key was not held back.
    pub fn take_held(&mut self) -> Vec<u8> {
        match self.state {
            State::Text { what: Text::Wanted, .. } => std::mem::take(&mut self.held),
            _ => Vec::new(),
        }
    }

    fn structural(&mut self, byte: u8, key: bool, wants: fn(&Path) -> bool) {
        let next_is_key = match byte {
            b'{' | b'[' => return self.open(byte == b'{'),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                false
            }
            b',' => self.in_object(),
            b':' => false,
            b'"' => {
                let what = match key {
                    true => Text::Key,
                    false if wants(&self.names[..self.depth]) => Text::Wanted,
                    false => Text::Unwanted,
                };
                self.state = State::Text {
                    what,
                    escaped: false,
                    escapes: false,
                };
                return;
            }
            _ => return,
        };
        self.state = State::Between { key: next_is_key };
    }

    fn open(&mut self, object: bool) {
        if self.depth == MAX_DEPTH {
            self.state = State::Lost;
            return;
        }
        let of_parent = self
            .depth
            .checked_sub(1)
            .map_or(Name::Other, |parent| self.names[parent]);
        self.names[self.depth] = if object { Name::Other } else { of_parent };
        let bit = 1 << self.depth;
        self.objects = if object {
            self.objects | bit
        } else {
            self.objects & !bit
        };
        self.depth += 1;
        self.state = State::Between { key: object };
    }

    fn in_object(&self) -> bool {
        self.depth
            .checked_sub(1)
            .is_some_and(|level| self.objects >> level & 1 == 1)
    }

    fn text_ends(
        &mut self,
        slice: &[u8],
        at: Range<usize>,
        (what, escapes): (Text, bool),
        found: &mut impl FnMut(&Path, Found<'_>),
    ) {
        self.state = State::Between { key: false };
        let part = &slice[at.clone()];
        let text = if self.held.is_empty() {
            part
        } else {
            self.held.extend_from_slice(part);
            &self.held
        };
        match what {
            Text::Key => {
                let name = if escapes {
                    Name::of_escaped(text)
                } else {
                    Name::of(text)
                };
                if let Some(level) = self.depth.checked_sub(1) {
                    self.names[level] = name;
                }
            }
            Text::Wanted => {
                let clean = !escapes && text.len() <= MAX_SEALED_BYTES;
                found(&self.names[..self.depth], Found { at, text, clean });
            }
            Text::Unwanted => {}
        }
        self.held.clear();
    }

    /// The slice is over: keeps what it has of an open string that is looked for, and of a key.
    fn hold(&mut self, slice: &[u8], start: usize, found: &mut impl FnMut(&Path, Found<'_>)) -> usize {
        let State::Text { what, escaped, escapes } = self.state else {
            return 0;
        };
        let part = &slice[start.min(slice.len())..];
        match what {
            Text::Unwanted => 0,
            Text::Key => {
                // One byte more than a name is enough to know that it is none.
                let room = (MAX_NAME_BYTES + 1).saturating_sub(self.held.len());
                self.held.extend_from_slice(&part[..part.len().min(room)]);
                0
            }
            Text::Wanted => {
                self.held.extend_from_slice(part);
                if self.held.len() <= MAX_SEALED_BYTES {
                    return part.len();
                }
                let (at, text) = (slice.len() - part.len()..slice.len(), &self.held[..]);
                let clean = false;
                found(&self.names[..self.depth], Found { at, text, clean });
                self.held.clear();
                let what = Text::Unwanted;
                self.state = State::Text { what, escaped, escapes };
                0
            }
        }
    }
}

/// The closing quote from `at` on; without one, whether the next byte is escaped. And whether there were escapes.
fn text_end(slice: &[u8], mut at: usize, escaped: bool, mut escapes: bool) -> (Option<usize>, (bool, bool)) {
    if escaped {
        at += 1;
    }
    while let Some(next) = slice.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        let next = at + next;
        if slice[next] == b'"' {
            return (Some(next), (false, escapes));
        }
        escapes = true;
        at = next + 2;
    }
    (None, (at > slice.len(), escapes))
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
