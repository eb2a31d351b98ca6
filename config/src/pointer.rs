//! Reading and editing a tree at an RFC 6901 JSON pointer. Knows nothing of what the tree means.

use serde_json::{Map, Value};

/// Why a pointer leads nowhere; the text names the part that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// Not RFC 6901: not empty and not beginning with `/`, or a `~` without `0` or `1`.
    #[error("`{0}` is not a JSON pointer; write /part/part, with ~1 for a slash and ~0 for a tilde in a name")]
    Syntax(String),
    /// There is nothing at this pointer, or no place to put something.
    #[error("there is nothing at `{0}`")]
    Nothing(String),
    /// A list's index that is not a number without leading zeros, or beyond the list's end.
    #[error("`{0}` is no index of this list")]
    Index(String),
    /// A part of the pointer leads into text, a number, true or false.
    #[error("the value at `{0}` is neither a map nor a list")]
    Leaf(String),
}

/// The value at `pointer`; `""` is the whole tree.
pub fn get<'v>(tree: &'v Value, pointer: &str) -> Result<&'v Value, PointerError> {
    let tokens = tokens(pointer)?;
    let mut value = tree;
    for (depth, token) in tokens.iter().enumerate() {
        let here = || join(&tokens[..=depth]);
        value = match value {
            Value::Object(map) => map.get(token).ok_or_else(|| PointerError::Nothing(here()))?,
            Value::Array(items) => {
                let index = index(token).ok_or_else(|| PointerError::Index(here()))?;
                items.get(index).ok_or_else(|| PointerError::Nothing(here()))?
            }
            _ => return Err(PointerError::Leaf(join(&tokens[..depth]))),
        };
    }
    Ok(value)
}

/// Puts `new` at `pointer` and gives back what was there. Maps on the way that do not exist (or are null) are made;
/// in a list, the index one past the end and `-` append.
pub fn set(tree: &mut Value, pointer: &str, new: Value) -> Result<Option<Value>, PointerError> {
    let tokens = tokens(pointer)?;
    let Some((last, path)) = tokens.split_last() else {
        return Ok(Some(std::mem::replace(tree, new)));
    };
    check_path(tree, &tokens)?;
    let mut value = tree;
    for token in path {
        become_map(value);
        value = match value {
            Value::Object(map) => map.entry(token.as_str()).or_insert(Value::Null),
            Value::Array(items) => {
                let found = index(token).and_then(|at| items.get_mut(at));
                found.ok_or_else(|| PointerError::Index(pointer.to_string()))?
            }
            _ => return Err(PointerError::Leaf(pointer.to_string())),
        };
    }
    become_map(value);
    match value {
        Value::Object(map) => Ok(map.insert(last.clone(), new)),
        Value::Array(items) => match insertion(items, last) {
            Some(at) if at == items.len() => {
                items.push(new);
                Ok(None)
            }
            Some(at) => Ok(Some(std::mem::replace(&mut items[at], new))),
            None => Err(PointerError::Index(pointer.to_string())),
        },
        _ => Err(PointerError::Leaf(pointer.to_string())),
    }
}

/// Takes the value at `pointer` out of the tree; what follows it in a list moves up. The whole tree becomes null.
pub fn delete(tree: &mut Value, pointer: &str) -> Result<Value, PointerError> {
    get(tree, pointer)?;
    let tokens = tokens(pointer)?;
    let Some((last, path)) = tokens.split_last() else {
        return Ok(tree.take());
    };
    let nothing = || PointerError::Nothing(pointer.to_string());
    match tree.pointer_mut(&join(path)).ok_or_else(nothing)? {
        // Document order is what operators see: the entries after it keep theirs.
        Value::Object(map) => map.shift_remove(last).ok_or_else(nothing),
        Value::Array(items) => {
            let at = index(last).filter(|at| *at < items.len()).ok_or_else(nothing)?;
            Ok(items.remove(at))
        }
        _ => Err(nothing()),
    }
}

/// The pointer without its last part; `None` for the whole tree.
pub fn parent(pointer: &str) -> Option<&str> {
    pointer.rfind('/').map(|slash| &pointer[..slash])
}

/// Appends one part to a pointer, escaped.
pub fn push(pointer: &mut String, token: &str) {
    pointer.push('/');
    for character in token.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            other => pointer.push(other),
        }
    }
}

/// The unescaped parts of a pointer.
pub fn tokens(pointer: &str) -> Result<Vec<String>, PointerError> {
    let syntax = || PointerError::Syntax(pointer.to_string());
    if pointer.is_empty() {
        return Ok(Vec::new());
    }
    let parts = pointer.strip_prefix('/').ok_or_else(syntax)?;
    parts.split('/').map(|part| unescape(part).ok_or_else(syntax)).collect()
}

fn unescape(part: &str) -> Option<String> {
    let mut token = String::with_capacity(part.len());
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        match character {
            '~' => match characters.next()? {
                '0' => token.push('~'),
                '1' => token.push('/'),
                _ => return None,
            },
            other => token.push(other),
        }
    }
    Some(token)
}

fn join(tokens: &[String]) -> String {
    let mut pointer = String::new();
    tokens.iter().for_each(|token| push(&mut pointer, token));
    pointer
}

/// Decimal digits without leading zeros (RFC 6901, section 4).
fn index(token: &str) -> Option<usize> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = token == "0" || !token.starts_with('0');
    if digits && canonical { token.parse().ok() } else { None }
}

fn insertion(items: &[Value], token: &str) -> Option<usize> {
    let at = if token == "-" { items.len() } else { index(token)? };
    (at <= items.len()).then_some(at)
}

/// Refuses before anything is made, so that a failed `set` leaves the tree as it was.
fn check_path(tree: &Value, tokens: &[String]) -> Result<(), PointerError> {
    let mut value = tree;
    for (depth, token) in tokens.iter().enumerate() {
        let last = depth + 1 == tokens.len();
        let here = || join(&tokens[..=depth]);
        value = match value {
            Value::Null => return Ok(()),
            Value::Object(map) => match map.get(token) {
                Some(next) => next,
                None => return Ok(()),
            },
            Value::Array(items) if last => {
                return insertion(items, token)
                    .map(|_| ())
                    .ok_or_else(|| PointerError::Index(here()));
            }
            Value::Array(items) => {
                let at = index(token).ok_or_else(|| PointerError::Index(here()))?;
                items.get(at).ok_or_else(|| PointerError::Nothing(here()))?
            }
            _ => return Err(PointerError::Leaf(join(&tokens[..depth]))),
        };
    }
    Ok(())
}

fn become_map(value: &mut Value) {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
}
