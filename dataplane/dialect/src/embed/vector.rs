//! One vector, as numbers or as base64 of its floats, and each written as the other. Exact: a number becomes the float
//! of 32 bits nearest to it, a float the shortest number that becomes it again.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{MAX_WRITTEN_BYTES, TOO_LONG};
use crate::{
    canonical::bad::BadAnswer,
    json::{Node, Out, Text},
};

const NO_NUMBERS: BadAnswer = BadAnswer::new("a vector is no list of numbers");
const NO_BASE64: BadAnswer = BadAnswer::new("a vector is no base64 of 32-bit floats");
const NOT_FINITE: BadAnswer = BadAnswer::new("a vector has a number that no 32-bit float holds");

/// Bytes of a float.
const FLOAT_BYTES: usize = 4;

#[derive(Clone, Debug)]
pub enum Vector<'a> {
    /// A list that was seen to be one of numbers.
    Numbers(Node<'a>),
    Base64(Text<'a>),
}

impl<'a> Vector<'a> {
    /// A list of numbers, or a string of base64: what providers give does not always heed what was asked for.
    pub fn of(node: Node<'a>) -> Result<Vector<'a>, BadAnswer> {
        if let Some(text) = node.text() {
            return Ok(Vector::Base64(text));
        }
        let is_list = node.is_array() && node.elements().all(|element| element.number().is_some());
        match is_list {
            true => Ok(Vector::Numbers(node)),
            false => Err(NO_NUMBERS),
        }
    }

    /// Appends it as a list of numbers.
    pub fn write_numbers(&self, json: &mut Out<'_>) -> Result<(), BadAnswer> {
        match self {
            Vector::Numbers(node) => {
                json.raw(node.raw());
            }
            Vector::Base64(text) => {
                let bytes = decoded(text)?;
                json.open_list();
                let mut digits = zmij::Buffer::new();
                for (index, float) in floats(&bytes).enumerate() {
                    if !float.is_finite() {
                        return Err(NOT_FINITE);
                    }
                    if index > 0 {
                        json.bytes.push(b',');
                    }
                    json.bytes.extend_from_slice(digits.format_finite(float).as_bytes());
                }
                json.close_list();
            }
        }
        within_bounds(json)
    }

    /// Its numbers, each of them finite.
    pub fn floats(&self) -> Result<Vec<f32>, BadAnswer> {
        match self {
            Vector::Base64(text) => {
                let floats: Vec<f32> = floats(&decoded(text)?).collect();
                let all_finite = floats.iter().all(|float| float.is_finite());
                all_finite.then_some(floats).ok_or(NOT_FINITE)
            }
            Vector::Numbers(node) => node.elements().map(float_of).collect(),
        }
    }

    /// Appends it as a string of base64.
    pub fn write_base64(&self, json: &mut Out<'_>) -> Result<(), BadAnswer> {
        let bytes = match self {
            Vector::Base64(text) => decoded(text)?,
            Vector::Numbers(node) => {
                // A number has two letters and a comma at least, and mostly ten more.
                let mut bytes = Vec::with_capacity(node.raw().len() / 2);
                for element in node.elements() {
                    bytes.extend_from_slice(&float_of(element)?.to_le_bytes());
                }
                bytes
            }
        };
        json.string("");
        json.bytes.pop();
        let start = json.bytes.len();
        json.bytes.resize(start + bytes.len().div_ceil(3) * 4, 0);
        let written = STANDARD.encode_slice(&bytes, &mut json.bytes[start..]);
        json.bytes.truncate(start + written.unwrap_or(0));
        json.bytes.push(b'"');
        within_bounds(json)
    }
}

fn within_bounds(json: &Out<'_>) -> Result<(), BadAnswer> {
    match json.bytes.len() > MAX_WRITTEN_BYTES {
        true => Err(TOO_LONG),
        false => Ok(()),
    }
}

fn float_of(element: Node<'_>) -> Result<f32, BadAnswer> {
    let text = element.number().and_then(|number| str::from_utf8(number.raw()).ok());
    let float: f32 = text.and_then(|text| text.parse().ok()).ok_or(NO_NUMBERS)?;
    match float.is_finite() {
        true => Ok(float),
        false => Err(NOT_FINITE),
    }
}

fn decoded(text: &Text<'_>) -> Result<Vec<u8>, BadAnswer> {
    let plain = text.plain().ok_or(NO_BASE64)?;
    let bytes = STANDARD.decode(plain.as_bytes()).map_err(|_| NO_BASE64)?;
    match bytes.len() % FLOAT_BYTES {
        0 => Ok(bytes),
        _ => Err(NO_BASE64),
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> + '_ {
    bytes
        .as_chunks::<FLOAT_BYTES>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
}
