//! What is written is read again, whatever it is; what was changed, cut or made up is refused; what a later version adds is
//! passed over.

use proptest::prelude::*;

use super::*;

const NOW: Tick = Tick(5_000_000_000);

fn kept() -> impl Strategy<Value = Kept> {
    let texts = prop::collection::vec("[^\\x00]{0,20}", 5);
    let usage = prop::option::of(prop::array::uniform9(prop::option::of(any::<u64>())));
    let cost = prop::option::of((any::<u128>(), any::<u128>(), any::<u64>()));
    let form = prop_oneof![
        Just(Form::Whole),
        (any::<bool>(), any::<bool>()).prop_map(|(usage, array)| Form::Stream { usage, array })
    ];
    let place = (any::<u128>(), 0..4u8, 0..u64::MAX / 4);
    let rest = (0..6usize, prop::collection::vec(any::<u8>(), 0..300), any::<u64>());
    let earlier = prop::collection::vec("[^\\x00]{0,9}", 0..3);
    let vector = prop::collection::vec(any::<i8>(), 0..20);
    let found_by = prop::option::of((any::<u128>(), "[^\\x00]{0,20}", earlier, vector));
    let named = (prop::option::of("[a-z]{0,9}"), found_by);
    (place, texts, named, form, rest, usage, cost).prop_map(
        |((key, asked, aged_ns), texts, (team, found_by), form, (dialect, body, took_ns), usage, cost)| {
            let said = Said {
                key: &texts[1],
                team: team.as_deref(),
                model: &texts[2],
                tags: &texts[3],
                begins: &texts[4],
            };
            let about = About::new("c".into(), [&texts[0], ""], &said);
            let head = Head::new(form, b"text/event-stream", b"request-id: 1\r\nx-other: a\r\n".to_vec());
            let usage = usage.map(|all| Usage {
                input: all[0],
                cache_read: all[1],
                cache_write_5m: all[2],
                cache_write_1h: all[3],
                output: all[4],
                reasoning: all[5],
                input_audio: all[6],
                output_audio: all[7],
                input_image: all[8],
            });
            let cost = cost.map(|(usd, list, prices)| Cost {
                usd: PicoUsd(usd),
                list: PicoUsd(list),
                prices: PriceVersion(prices),
            });
            let stored = Stored {
                head: Arc::new(head),
                dialect: Dialect::ALL[dialect],
                body: body.into(),
                at: NOW,
                aged_ns,
                spent: Spent { usage, cost, took_ns },
                about: Arc::new(about),
                asked: found_by.map(|(partition, text, earlier, vector)| {
                    let earlier = earlier.into_iter().map(String::into_boxed_str).collect();
                    Box::new(Asked::new(partition, took_ns, (text.into(), earlier)).with_vector(vector.into()))
                }),
            };
            Kept {
                key,
                asked,
                stored: Arc::new(stored),
            }
        },
    )
}

fn written(kept: &Kept) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(write(kept, NOW, &mut out));
    out
}

fn read_now(bytes: &[u8]) -> Result<Kept, Damaged> {
    read(bytes, &"c".into(), NOW, 0)
}

/// With another section behind the others.
fn with_section(bytes: &[u8], number: u16, content: &[u8]) -> Vec<u8> {
    let mut longer = bytes.to_vec();
    longer.extend_from_slice(&number.to_le_bytes());
    longer.extend_from_slice(&(content.len() as u32).to_le_bytes());
    longer.extend_from_slice(content);
    let sum = crc32fast::hash(&longer[5..]);
    longer[1..5].copy_from_slice(&sum.to_le_bytes());
    longer
}

proptest! {
    #[test]
    fn what_is_written_is_read_again_and_is_older_then(kept in kept(), since_ns in 0..u64::MAX / 4) {
        let bytes = written(&kept);
        prop_assert_eq!(&read_now(&bytes).expect("it was written"), &kept);
        let later = read(&bytes, &"c".into(), Tick(7), since_ns).expect("it was written");
        prop_assert_eq!(later.stored.age_ns(Tick(7)), kept.stored.aged_ns + since_ns);
        let newer = with_section(&bytes, 77, b"of a later version");
        prop_assert_eq!(&read_now(&newer).expect("passed over"), &kept);
    }

    #[test]
    fn what_was_changed_or_cut_is_refused(kept in kept(), at in any::<prop::sample::Index>(), bit in 0..8u32) {
        let bytes = written(&kept);
        let at = at.index(bytes.len());
        prop_assert!(read_now(&bytes[..at]).is_err());
        let mut changed = bytes;
        changed[at] ^= 1 << bit;
        prop_assert!(read_now(&changed).is_err());
    }

    /// With a right checksum too: nothing made up is taken for more than it is.
    #[test]
    fn whatever_comes_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), section in 0..7u16, kept in kept()) {
        _ = read_now(&bytes);
        _ = read_now(&with_section(&written(&kept), section, &bytes));
    }
}

#[test]
fn lines_that_would_not_stay_lines_are_refused() {
    let with = |lines: &[u8]| {
        let mut out = vec![0, 0, 0];
        text(&mut out, b"openai").expect("short");
        text(&mut out, b"application/json").expect("short");
        text(&mut out, lines).expect("short");
        head(Bytes(&out)).is_some()
    };
    assert!(with(b"") && with(b"a: b\r\n") && with(b"a: b\r\nc: d\r\n"));
    for bad in [&b"a: b"[..], b"a: b\n", b"a\rb: c\r\n", b"a: \0\r\n"] {
        assert!(!with(bad), "{bad:?}");
    }
}

#[test]
fn another_version_says_so() {
    let damaged = read_now(&[9, 0, 0, 0, 0]).expect_err("of another version");
    assert_eq!(damaged, Damaged::Version(9));
    assert_eq!(read_now(&[]).expect_err("nothing"), Damaged::Short);
}
