//! The rows of a model and how often each token's counts, read in place from the file's bytes. Knows no text.

use std::borrow::Cow;
use std::ops::Range;

use super::safetensors::{self, Tensor};
use super::{LoadError, MAX_DIMS, MAX_MODEL_BYTES};
use crate::{Kernel, Pick};

#[derive(Debug)]
pub struct Model {
    file: Cow<'static, [u8]>,
    dims: usize,
    rows: Rows,
    row_count: usize,
    /// A float of 4 or 8 bytes for each token, unless all count the same.
    weights: Option<(Range<usize>, Width)>,
    /// The row of each token, unless it is its id.
    mapping: Option<(Range<usize>, Width)>,
}

/// Whole bytes stay where they are; floats are brought to one form once.
#[derive(Debug)]
enum Rows {
    Bytes(Range<usize>),
    Floats(Vec<f32>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    Four,
    Eight,
}

impl Model {
    /// Of a model2vec `model.safetensors`: `embeddings` (I8, F16 or F32), `weights` and `mapping` if there are any.
    pub fn parse(file: Cow<'static, [u8]>, ids: u32) -> Result<Self, LoadError> {
        if file.len() > MAX_MODEL_BYTES {
            return Err(LoadError::Model(format!(
                "the file has {} bytes; at most {MAX_MODEL_BYTES} are read",
                file.len()
            )));
        }
        let tensors = safetensors::parse(&file)?;
        let rows = tensors.get("embeddings").ok_or(LoadError::NoTensor("embeddings"))?;
        let [row_count, dims] = rows.shape[..] else {
            return Err(unlike("embeddings", rows, "two-dimensional: a row for each token"));
        };
        if dims == 0 || dims > MAX_DIMS {
            return Err(unlike("embeddings", rows, &format!("1 to {MAX_DIMS} dimensions wide")));
        }
        let per_token = |name, kinds| per_token(&tensors, name, kinds, ids);
        let weights = per_token("weights", ["F32", "F64"])?;
        let mapping = per_token("mapping", ["I32", "I64"])?;
        if mapping.is_none() && row_count < ids as usize {
            return Err(unlike(
                "embeddings",
                rows,
                &format!("a row for each of the tokenizer's {ids} tokens"),
            ));
        }
        let rows = match rows.kind.as_str() {
            "I8" => Rows::Bytes(rows.bytes.clone()),
            "F32" => Rows::Floats(floats(&file[rows.bytes.clone()], f32::from_le_bytes)),
            "F16" => Rows::Floats(floats(&file[rows.bytes.clone()], half)),
            _ => return Err(unlike("embeddings", rows, "I8, F16 or F32")),
        };
        let model = Self {
            file,
            dims,
            rows,
            row_count,
            weights,
            mapping,
        };
        model.check_values(ids)?;
        Ok(model)
    }

    pub fn dims(&self) -> usize {
        self.dims
    }

    /// A token's row and weight.
    pub fn pick(&self, id: u32) -> Option<Pick> {
        let weight = match &self.weights {
            None => 1.0,
            Some((at, Width::Four)) => f32::from_le_bytes(self.value(at, id)?),
            Some((at, Width::Eight)) => f64::from_le_bytes(self.value(at, id)?) as f32,
        };
        let row = match &self.mapping {
            None => i64::from(id),
            Some((at, Width::Four)) => i64::from(i32::from_le_bytes(self.value(at, id)?)),
            Some((at, Width::Eight)) => i64::from_le_bytes(self.value(at, id)?),
        };
        let row = u32::try_from(row).ok().filter(|row| (*row as usize) < self.row_count)?;
        Some(Pick { row, weight })
    }

    /// Adds the rows that are picked.
    pub fn accumulate(&self, kernel: Kernel, sum: &mut [f32], picks: &[Pick]) {
        match &self.rows {
            Rows::Bytes(at) => kernel.accumulate(sum, self.file.get(at.clone()).unwrap_or(&[]), picks),
            // Floats are for models of others; the compiler's loop is the same on every instruction set.
            Rows::Floats(rows) => {
                for pick in picks {
                    let row = rows.iter().skip(pick.row as usize * self.dims);
                    sum.iter_mut()
                        .zip(row)
                        .for_each(|(lane, value)| *lane += value * pick.weight);
                }
            }
        }
    }

    fn value<const BYTES: usize>(&self, at: &Range<usize>, id: u32) -> Option<[u8; BYTES]> {
        let from = at.start + id as usize * BYTES;
        self.file.get(from..from + BYTES)?.try_into().ok()
    }

    /// Every token has a row and a finite weight: said at load, not at some call.
    fn check_values(&self, ids: u32) -> Result<(), LoadError> {
        for id in 0..ids {
            match self.pick(id) {
                None => {
                    return Err(LoadError::Model(format!(
                        "`mapping` gives token {id} a row that is not there"
                    )));
                }
                Some(pick) if !pick.weight.is_finite() => {
                    return Err(LoadError::Model(format!("`weights` gives token {id} no finite number")));
                }
                Some(_) => {}
            }
        }
        match &self.rows {
            Rows::Floats(rows) if rows.iter().any(|value| !value.is_finite()) => Err(LoadError::Model(
                "`embeddings` holds values that are no finite numbers".into(),
            )),
            _ => Ok(()),
        }
    }
}

fn unlike(tensor: &'static str, found: &Tensor, expected: &str) -> LoadError {
    LoadError::Tensor {
        tensor,
        found: format!("{} {:?}", found.kind, found.shape),
        expected: expected.to_owned(),
    }
}

/// A tensor with one value for each token, of the narrow or the wide type.
fn per_token(
    tensors: &std::collections::BTreeMap<String, Tensor>,
    name: &'static str,
    [narrow, wide]: [&str; 2],
    ids: u32,
) -> Result<Option<(Range<usize>, Width)>, LoadError> {
    let Some(tensor) = tensors.get(name) else {
        return Ok(None);
    };
    let width = match tensor.kind.as_str() {
        kind if kind == narrow => Width::Four,
        kind if kind == wide => Width::Eight,
        _ => return Err(unlike(name, tensor, &format!("{narrow} or {wide}"))),
    };
    if !matches!(tensor.shape[..], [length] if length >= ids as usize) {
        return Err(unlike(name, tensor, &format!("one value for each of {ids} tokens")));
    }
    Ok(Some((tensor.bytes.clone(), width)))
}

fn floats<const BYTES: usize>(bytes: &[u8], read: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
    bytes.as_chunks::<BYTES>().0.iter().map(|value| read(*value)).collect()
}

/// IEEE 754 half precision.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let sign = if bits >> 15 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023) / 1024.0);
    sign * match exponent {
        0 => fraction * 2.0f32.powi(-14),
        31 if fraction > 0.0 => f32::NAN,
        31 => f32::INFINITY,
        _ => (1.0 + fraction) * 2.0f32.powi(exponent - 15),
    }
}
