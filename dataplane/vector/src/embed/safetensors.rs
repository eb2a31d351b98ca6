//! The container of weights: eight bytes of length, a JSON header of names, types, shapes and positions, then the bytes.
//! <https://github.com/huggingface/safetensors>. Knows no model.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;

use super::LoadError;

/// A header of a model with a handful of tensors is a few hundred bytes.
const MAX_HEADER_BYTES: usize = 1 << 20;
const LENGTH_BYTES: usize = 8;

/// One tensor: its type, its shape, and where its bytes lie in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub kind: String,
    pub shape: Vec<usize>,
    pub bytes: Range<usize>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

pub fn parse(file: &[u8]) -> Result<BTreeMap<String, Tensor>, LoadError> {
    let fault = |text: String| Err(LoadError::Model(text));
    let Some(length) = file.first_chunk::<LENGTH_BYTES>() else {
        return fault(format!("{} bytes are too few for a header", file.len()));
    };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > MAX_HEADER_BYTES {
        return fault(format!(
            "the header says {length} bytes; at most {MAX_HEADER_BYTES} are read"
        ));
    }
    let data = LENGTH_BYTES + length;
    let Some(header) = file.get(LENGTH_BYTES..data) else {
        return fault(format!("the header says {length} bytes and the file ends before them"));
    };
    let header: BTreeMap<String, serde_json::Value> = match serde_json::from_slice(header) {
        Ok(header) => header,
        Err(error) => return fault(format!("the header is not JSON: {error}")),
    };
    let entries = header.into_iter().filter(|(name, _)| name != "__metadata__");
    entries
        .map(|(name, entry)| tensor(name, entry, data, file.len()))
        .collect()
}

fn tensor(name: String, entry: serde_json::Value, data: usize, end: usize) -> Result<(String, Tensor), LoadError> {
    let entry: Entry =
        serde_json::from_value(entry).map_err(|error| LoadError::Model(format!("tensor `{name}`: {error}")))?;
    let (from, to) = entry.data_offsets;
    let place = data.checked_add(from).zip(data.checked_add(to));
    let Some((from, to)) = place.filter(|(from, to)| from <= to && *to <= end) else {
        return Err(LoadError::Model(format!(
            "tensor `{name}` reaches past the end of the file: is it cut off?"
        )));
    };
    let values = entry.shape.iter().try_fold(1usize, |all, side| all.checked_mul(*side));
    let width_bytes = match entry.dtype.as_str() {
        "I8" => 1,
        "F16" => 2,
        "F32" | "I32" => 4,
        "F64" | "I64" => 8,
        other => {
            return Err(LoadError::Model(format!(
                "tensor `{name}` is of type {other}, which is not read"
            )));
        }
    };
    if values.and_then(|values| values.checked_mul(width_bytes)) != Some(to - from) {
        return Err(LoadError::Model(format!(
            "tensor `{name}` has other bytes than its shape and type need"
        )));
    }
    let tensor = Tensor {
        kind: entry.dtype,
        shape: entry.shape,
        bytes: from..to,
    };
    Ok((name, tensor))
}
