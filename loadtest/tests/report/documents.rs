//! The HTML report: whole in itself, well formed, and deaf to what names try to put into it.

use crate::{
    report::{Measured, html},
    sample,
};

fn page(measured: &Measured) -> String {
    let mut bytes = Vec::new();
    html::write(measured, &mut bytes).expect("written");
    String::from_utf8(bytes).expect("text")
}

fn pages() -> Vec<(&'static str, String)> {
    let mut sweep = Vec::new();
    html::write_frontier(&sample::frontier(), &mut sweep).expect("written");
    let mut empty = Vec::new();
    html::write_frontier(&Default::default(), &mut empty).expect("written");
    vec![
        ("busy", page(&sample::busy())),
        ("late", page(&sample::late())),
        ("single class", page(&sample::single_class())),
        ("one request", page(&sample::one_request())),
        ("nothing", page(&sample::nothing())),
        ("extreme", page(&sample::extreme())),
        ("sweep", String::from_utf8(sweep).expect("text")),
        ("empty sweep", String::from_utf8(empty).expect("text")),
    ]
}

/// A tag: its name (with a slash in front when it closes), its attributes, and whether it closes itself.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    alone: bool,
}

/// The tags of a document in which each attribute is quoted, as ours are; panics where it is not so.
fn tags(document: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = document;
    while let Some(begin) = rest.find('<') {
        let text = &rest[..begin];
        assert!(!text.contains('>'), "a bare > in {text:?}");
        rest = &rest[begin + 1..];
        let end = tag_end(rest);
        let inside = &rest[..end];
        rest = &rest[end + 1..];
        if inside.starts_with('!') {
            continue;
        }
        let alone = inside.ends_with('/');
        let inside = inside.trim_end_matches('/');
        let (name, attributes) = inside.split_once(' ').unwrap_or((inside, ""));
        tags.push(Tag {
            name,
            attributes: self::attributes(attributes),
            alone,
        });
        if name == "style" {
            // What follows is no markup.
            rest = &rest[rest.find("</style>").expect("the style ends")..];
        }
    }
    tags
}

fn tag_end(rest: &str) -> usize {
    let mut quoted = false;
    let end = rest.char_indices().find(|(_, letter)| {
        quoted ^= *letter == '"';
        assert!(
            quoted || *letter != '<',
            "a tag begins in a tag: {}",
            &rest[..rest.len().min(80)]
        );
        !quoted && *letter == '>'
    });
    end.expect("a tag ends").0
}

fn attributes(mut text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    while !text.trim().is_empty() {
        let (name, rest) = text.split_once("=\"").expect("name=\"value\"");
        let (value, rest) = rest.split_once('"').expect("the quote closes");
        found.push((name.trim(), value));
        text = rest;
    }
    found
}

#[test]
fn every_page_is_well_formed() {
    for (what, page) in pages() {
        assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"), "{what}");
        let mut open: Vec<&str> = Vec::new();
        for tag in tags(&page) {
            match tag.name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{what}: closed out of order"),
                None if tag.alone => {}
                None => open.push(tag.name),
            }
        }
        assert!(open.is_empty(), "{what}: left open {open:?}");
        let bad = |letter: char| letter.is_control() && letter != '\n';
        assert!(!page.contains(bad), "{what}: a control character");
    }
}

#[test]
fn every_page_needs_only_itself() {
    let fetching = [
        "src",
        "href",
        "xlink:href",
        "srcset",
        "data",
        "action",
        "poster",
        "background",
    ];
    let running = [
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "img",
        "base",
        "form",
        "foreignObject",
    ];
    for (what, page) in pages() {
        for tag in tags(&page) {
            assert!(!running.contains(&tag.name), "{what}: <{}>", tag.name);
            for (name, value) in tag.attributes {
                assert!(!fetching.contains(&name), "{what}: {name}={value}");
                assert!(!name.starts_with("on"), "{what}: a handler {name}={value}");
                assert!(!value.contains("url("), "{what}: {name}={value}");
            }
        }
        let style = page
            .split("<style>")
            .nth(1)
            .and_then(|rest| rest.split("</style>").next());
        let style = style.expect("a style sheet");
        for word in ["url(", "@import", "http:", "https:", "//"] {
            assert!(!style.contains(word), "{what}: {word} in the style sheet");
        }
        assert!(
            page.contains("Content-Security-Policy\" content=\"default-src 'none'"),
            "{what}"
        );
    }
}

#[test]
fn no_page_shows_what_is_no_number() {
    for (what, page) in pages() {
        // The names of classes have neither.
        for word in ["NaN", "inf", "-0 "] {
            assert!(!page.replace("inflight", "").contains(word), "{what}: {word}");
        }
    }
}

#[test]
fn every_place_of_a_drawing_is_on_it() {
    for (what, page) in pages() {
        let mut width = 0.0;
        for tag in tags(&page) {
            if tag.name == "svg" {
                let value = |wanted: &str| tag.attributes.iter().find(|(name, _)| *name == wanted);
                let view = value("viewBox").and_then(|(_, view)| view.split(' ').nth(2));
                let text = view.or(value("width").map(|(_, width)| *width));
                width = text.and_then(|text| text.parse().ok()).expect("a width");
            }
            let x = |wanted: &str| {
                let value = tag.attributes.iter().find(|(name, _)| *name == wanted)?.1;
                value.parse::<f64>().ok()
            };
            if let ("rect" | "circle" | "text", Some(x)) = (tag.name, x("x").or(x("cx"))) {
                assert!((0.0..=width).contains(&x), "{what}: <{}> at {x} of {width}", tag.name);
            }
        }
        let empty = ["nothing", "empty sweep"].contains(&what);
        assert_eq!(width == 0.0, empty, "{what}: drawings where there is something to draw");
    }
}

#[test]
fn names_are_shown_and_do_nothing() {
    let page = page(&sample::extreme());
    assert!(page.contains("&lt;b&gt;class &quot;0&quot; &amp; &#39;co&#39;\u{fffd}&lt;/b&gt;"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<b>class"));
    assert!(!page.contains("secret"), "neither password nor key");
    assert!(page.contains("key=…"));
}

#[test]
fn says_first_whether_it_holds() {
    let valid = page(&sample::busy());
    assert!(valid.contains("banner good") && !valid.contains("banner bad"));
    let late = page(&sample::late());
    let warning = late
        .find("Results are not valid: the generator was late by 212 ms")
        .expect("said");
    assert!(
        warning < late.find("<dl class=\"tiles\">").expect("figures"),
        "before any figure"
    );
    assert!(late.contains("Interrupted."));
    assert!(!late.contains("banner good"));
}

#[test]
fn shows_what_there_is_and_nothing_else() {
    let busy = page(&sample::busy());
    let titles = [
        "Latency by percentile",
        "Parts of the time by percentile",
        "Rate",
        "Failures",
        "Latency over time",
        "Time between tokens",
    ];
    for title in titles {
        assert_eq!(busy.matches(&format!("<h3>{title}</h3>")).count(), 1, "{title}");
    }
    assert!(busy.contains("pid 4711"));
    assert!(
        busy.contains("<td class=\"n\">90,138</td>"),
        "all that was sent, in the table"
    );
    let single = page(&sample::single_class());
    for absent in ["<h3>Failures</h3>", "<h3>Time between tokens</h3>", "pid ", "wanted"] {
        assert!(!single.contains(absent), "{absent}");
    }
    assert!(single.contains("Closed loop:"));
    assert!(page(&sample::nothing()).contains("No request was answered."));
    let extreme = page(&sample::extreme());
    assert!(extreme.contains("hours since the start"));
    assert!(extreme.contains("The 7 busiest of 12 classes"));
    assert!(extreme.contains("Each point is 360 s."));
}

#[test]
fn a_sweep_shows_bounds_and_floors() {
    let (_, sweep) = pages()
        .into_iter()
        .find(|(what, _)| *what == "sweep")
        .expect("it is there");
    assert!(sweep.contains("Highest load by bound: requests/s"));
    assert!(sweep.contains("Highest load by bound: streams"));
    assert!(sweep.contains("For 1 of 8 bounds the generator was the bottleneck"));
    assert!(sweep.contains(">none<"), "a bound that nothing kept");
}
