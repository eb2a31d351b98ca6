//! A form has the same fields, or the same fault, however it is cut; what it says of their places is true.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_wire::multipart::{BadForm, FormReader, MAX_VALUE_BYTES};

/// Each wanted field: its name, its value, where that starts; and whether the form ended.
type Form = (Vec<(Vec<u8>, Vec<u8>, u64)>, Result<bool, BadForm>);

fn wanted(name: &[u8]) -> bool {
    matches!(name, b"model" | b"stream")
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Form {
    let mut reader = FormReader::new(b"multipart/form-data; boundary=b").expect("a boundary");
    let mut fields = Vec::new();
    for piece in pieces {
        let fed = reader.feed(piece, wanted, |field| {
            fields.push((field.name.to_vec(), field.value.to_vec(), field.start));
        });
        if let Err(bad) = fed {
            return (fields, Err(bad));
        }
    }
    (fields, Ok(reader.is_over()))
}

fuzz_target!(|input: &[u8]| {
    let Some((stream, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    let whole = read(std::iter::once(stream));
    assert_eq!(whole, read(pieces));
    for (name, value, start) in &whole.0 {
        let start = *start as usize;
        assert!(wanted(name) && value.len() <= MAX_VALUE_BYTES);
        assert_eq!(&stream[start..start + value.len()], value);
    }
});
