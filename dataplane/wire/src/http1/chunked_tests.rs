//! Chunked bodies by table, and any split of the input.

use proptest::prelude::*;

use super::*;

/// The body, and how many bytes after the message were left; fed in the pieces that `cuts` makes.
fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<usize>), BadChunk> {
    let mut decoder = Decoder::default();
    let mut body = Vec::new();
    let mut bounds: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    bounds.extend([0, input.len()]);
    bounds.sort_unstable();
    for pair in bounds.windows(2) {
        let mut at = pair[0];
        loop {
            match decoder.step(&input[at..pair[1]])? {
                Step::Data { data, consumed } => {
                    body.extend_from_slice(data.of(&input[at..pair[1]]));
                    at += consumed;
                }
                Step::More => break,
                Step::End { consumed } => return Ok((body, Some(input.len() - at - consumed))),
            }
        }
    }
    Ok((body, None))
}

#[test]
fn bodies_end_where_they_say() {
    let table: &[(&[u8], &[u8], Option<usize>)] = &[
        (b"0\r\n\r\n", b"", Some(0)),
        (b"5\r\nhello\r\n0\r\n\r\nGET /", b"hello", Some(5)),
        (
            b"00A;name=\"v\"\r\n0123456789\r\n1\r\nx\r\n0\r\nX-T: 1\r\ny:\r\n\r\n",
            b"0123456789x",
            Some(0),
        ),
        (b"000;a\r\n\r\n", b"", Some(0)),
        (b"5\r\nhel", b"hel", None),
        (b"5\r\nhello\r\n0\r\nx: y\r\n", b"hello", None),
    ];
    for (input, body, left) in table {
        assert_eq!(
            decode(input, &[]),
            Ok((body.to_vec(), *left)),
            "{}",
            input.escape_ascii()
        );
    }
}

#[test]
fn loose_framing_is_refused() {
    let long_extension = [b"1;".as_slice(), &[b'a'; 300]].concat();
    let long_trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(2000)].concat();
    let many_extensions = [b"1;".as_slice(), &[b'a'; 200], b"\r\nx\r\n"].concat().repeat(400);
    let table: &[&[u8]] = &[
        b"\r\n",
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1\t;a\r\n",
        b"1\n",
        b"1\rx",
        b";a\r\n",
        b"10000000000000000\r\n",
        b"00000000000000001\r\n",
        b"1;a\nb",
        b"1;\x00",
        b"1;a\r\rb",
        b"1\r\nxy",
        b"1\r\nx\n",
        b"1\r\nx\ry",
        b"0\r\n x: y\r\n",
        b"0\r\nx : y\r\n",
        b"0\r\n: y\r\n",
        b"0\r\nx: y\n",
        b"0\r\nx: \x01",
        b"0\r\nx: y\r\r",
        b"0\r\n\n",
        b"0\r\nx\r\n",
        &long_extension,
        &long_trailers,
        &many_extensions,
    ];
    for input in table {
        assert!(
            decode(input, &[]).is_err(),
            "{}",
            input[..input.len().min(40)].escape_ascii()
        );
    }
}

#[test]
fn what_is_written_is_read() {
    let mut out = Vec::new();
    write_chunk(&mut out, b"");
    assert!(out.is_empty());
    for len in [1, 15, 16, 255, 256, 70_000] {
        out.clear();
        write_chunk(&mut out, &vec![b'x'; len]);
        assert!(out.starts_with(format!("{len:x}\r\n").as_bytes()));
        out.extend_from_slice(LAST_CHUNK);
        assert_eq!(decode(&out, &[]), Ok((vec![b'x'; len], Some(0))));
    }
}

/// Pieces that make chunked-looking input likely.
fn near_chunked() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"\r\n",
        b"1;x=y\r\nz\r\n",
        b"a: b\r\n",
        b"\r",
        b"\n",
        b"3\r\n",
        b"abc",
        b";",
        b"ffffffffffffffff",
        b"0",
    ];
    let piece = prop_oneof![9 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same(input in near_chunked(), cuts in prop::collection::vec(any::<usize>(), 0..12)) {
        prop_assert_eq!(decode(&input, &cuts), decode(&input, &[]));
        let bytewise: Vec<usize> = (0..input.len()).collect();
        prop_assert_eq!(decode(&input, &bytewise), decode(&input, &[]));
    }

    #[test]
    fn random_bytes_never_panic(input in prop::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode(&input, &[]);
    }
}
