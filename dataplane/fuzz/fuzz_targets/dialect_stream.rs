//! A streamed answer gives the same events however it is cut, and each of them is written in any dialect without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate_dialect::{
    ALL,
    speak::{CallFacts, Speaks},
};

/// The events as text, and how it ended.
fn read<'a>(provider: &dyn Speaks, pieces: impl Iterator<Item = &'a [u8]>) -> (String, bool) {
    let mut reader = provider.stream_reader();
    let mut seen = String::new();
    for piece in pieces {
        if reader
            .feed(piece, &mut |event| seen += &format!("{event:?}\n"))
            .is_err()
        {
            return (seen, false);
        }
    }
    let ended = reader.end(&mut |event| seen += &format!("{event:?}\n")).is_ok();
    (seen, ended)
}

fuzz_target!(|input: &[u8]| {
    let Some((&[provider, client], input)) = input.split_first_chunk::<2>() else {
        return;
    };
    let provider = ALL[usize::from(provider) % ALL.len()].1;
    let client = ALL[usize::from(client) % ALL.len()].1;
    let Some((stream, pieces)) = tollgate_fuzz::pieces(input) else {
        return;
    };
    assert_eq!(read(provider, std::iter::once(stream)), read(provider, pieces));
    let facts = CallFacts {
        request_id: "1".into(),
        model: "m".into(),
        now_unix_s: 1,
        stream_usage: true,
        as_array: false,
    };
    let mut writer = client.stream_writer(&facts);
    let mut out = Vec::new();
    let mut reader = provider.stream_reader();
    let _ = reader.feed(stream, &mut |event| writer.write(event, &mut out));
});
