//! Whatever the slices, the same fields are found at the same places; what readers differ on is refused.

use proptest::prelude::*;

use super::*;

const TYPE: &[u8] = b"multipart/form-data; boundary=\"xYz\"";

fn wanted(name: &[u8]) -> bool {
    name == b"model"
}

/// (value, where it starts) of each `model`.
fn models(body: &[u8], lengths: &[usize]) -> Result<Vec<(String, u64)>, BadForm> {
    let mut reader = FormReader::new(TYPE)?;
    let (mut found, mut rest) = (Vec::new(), body);
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let (slice, behind) = rest.split_at((*lengths.next().expect("a length")).min(rest.len()));
        rest = behind;
        reader.feed(slice, wanted, |field| {
            let range = field.range();
            assert_eq!(&body[range.start as usize..range.end as usize], field.value);
            found.push((String::from_utf8_lossy(field.value).into_owned(), field.start));
        })?;
    }
    assert!(reader.is_over(), "the form ends");
    Ok(found)
}

/// A part with this head (of one line) and content.
fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    [
        format!("--xYz\r\ncontent-disposition: {disposition}\r\n\r\n").as_bytes(),
        content,
        b"\r\n",
    ]
    .concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], b"--xYz--\r\n"].concat()
}

#[test]
fn a_form_of_nearly_boundaries_is_read_however_it_is_cut() {
    let file = b"\r\n--xY\r\n--x\r\r\n--\r\n-\r\n\r\r\n--xYyz--xYz\r\n--xY";
    let body = form(&[
        part("form-data; name=\"file\"; filename=\"a;b=\\c.mp3\"", file),
        part("form-data; filename=x; name=model", b"whis\r\nper"),
        part("Form-Data; NAME=\"model\"", b""),
    ]);
    let whole = models(&body, &[body.len()]).expect("a form");
    let texts: Vec<&str> = whole.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(texts, ["whis\r\nper", ""]);
    for length in 1..40 {
        assert_eq!(models(&body, &[length]).as_ref(), Ok(&whole), "in slices of {length}");
    }
}

#[test]
fn what_readers_of_forms_differ_on_is_refused() {
    let refused = |body: &[u8], why: &str| {
        for length in [1, 7, body.len()] {
            let bad = models(body, &[length]).expect_err(why);
            assert!(bad.0.contains(why), "{bad}");
        }
    };
    for disposition in [
        "form-data; name=\"mo\\del\"",
        "form-data; name=\"mo%64el\"",
        "form-data; name*=utf-8''model",
        "form-data; name=a; name=model",
        "form-data; filename=\"a\\\"; name=\"model\"",
        "form-data; filename=\"a\" name=\"model\"; name=b",
        "attachment; name=model",
        "form-data",
    ] {
        refused(&form(&[part(disposition, b"x")]), "one plain name");
    }
    refused(&form(&[part("form-data; name=a\r\n\tb: c", b"x")]), "is broken");
    refused(&form(&[part("form-data; name=a\nb: c", b"x")]), "is broken");
    refused(&form(&[part("form-data; name=a\r\nb", b"x")]), "no colon");
    refused(
        &form(&[part(
            "form-data; name=a\r\ncontent-disposition: form-data; name=b",
            b"x",
        )]),
        "two content-dispositions",
    );
    refused(
        &form(&[part("form-data; name=model\r\nContent-Transfer-Encoding: base64", b"x")]),
        "transfer-encoding",
    );
    refused(
        b"--xYz\r\ncontent-type: a/b\r\n\r\nx\r\n--xYz--",
        "no content-disposition",
    );
    refused(&form(&[part("form-data; name=a", b"x\r\n--xYzz")]), "behind a boundary");
    refused(&form(&[part("form-data; name=model", &[b'a'; 2000])]), "too long");
    refused(&form(&[part(&"x".repeat(9000), b"x")]), "head of a part is too long");
}

#[test]
fn boundaries_are_read_from_content_types() {
    let delimiter = |text: &str| FormReader::new(text.as_bytes()).map(|reader| reader.delimiter);
    for text in [
        "multipart/form-data; boundary=a-b",
        "Multipart/Form-Data;charset=utf-8 ; Boundary=\"a-b\"",
    ] {
        assert!(is_form(text.as_bytes()));
        assert_eq!(delimiter(text), Ok(b"\r\n--a-b".to_vec()), "{text}");
    }
    let long = format!("multipart/form-data; boundary={}", "a".repeat(71));
    for text in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "a/b; boundary=x; boundary=y",
        &long,
    ] {
        assert!(delimiter(text).is_err(), "{text}");
    }
    assert!(!is_form(b"application/json") && !is_form(b"multipart/mixed; boundary=a"));
}

proptest! {
    #[test]
    fn slices_change_nothing(
        contents in prop::collection::vec("[\r\n\\-xYza]{0,40}", 1..5),
        lengths in prop::collection::vec(1usize..30, 1..6),
    ) {
        // A boundary in a content would be one.
        prop_assume!(contents.iter().all(|content| !format!("\r\n{content}\r\n").contains("\r\n--xYz")));
        let parts: Vec<Vec<u8>> =
            contents.iter().map(|content| part("form-data; name=model", content.as_bytes())).collect();
        let found = models(&form(&parts), &lengths).expect("a form");
        let texts: Vec<String> = found.into_iter().map(|(text, _)| text).collect();
        prop_assert_eq!(texts, contents);
    }

    #[test]
    fn nothing_panics(body in prop::collection::vec(any::<u8>(), 0..300), length in 1usize..50) {
        let mut reader = FormReader::new(TYPE).expect("a boundary");
        for slice in body.chunks(length) {
            if reader.feed(slice, wanted, |_| {}).is_err() {
                break;
            }
        }
    }
}
