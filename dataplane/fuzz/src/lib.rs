//! How fuzz targets turn one input into a stream that arrives in pieces.

/// The first four bytes choose the lengths of the pieces (0 to 255, in turn); the rest is the stream.
pub fn pieces(input: &[u8]) -> Option<(&[u8], impl Iterator<Item = &[u8]>)> {
    let (lengths, stream) = input.split_first_chunk::<4>()?;
    let lengths = *lengths;
    let mut rest = stream;
    let mut turn = 0;
    let pieces = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // Every fourth piece has a byte at least, so that the stream ends.
        let least = usize::from(turn % 4 == 3);
        let len = usize::from(lengths[turn % 4]).max(least).min(rest.len());
        turn += 1;
        let (piece, tail) = rest.split_at(len);
        rest = tail;
        Some(piece)
    });
    Some((stream, pieces))
}
