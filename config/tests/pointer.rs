//! Reading and editing at RFC 6901 pointers.

use serde_json::{Value, json};
use tollgate_config::pointer::{self, PointerError};

#[test]
fn the_examples_of_rfc_6901() {
    let tree = json!({
        "foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8,
    });
    for (at, expected) in [
        ("", tree.clone()),
        ("/foo", json!(["bar", "baz"])),
        ("/foo/0", json!("bar")),
        ("/", json!(0)),
        ("/a~1b", json!(1)),
        ("/c%d", json!(2)),
        ("/i\\j", json!(5)),
        ("/ ", json!(7)),
        ("/m~0n", json!(8)),
    ] {
        assert_eq!(pointer::get(&tree, at), Ok(&expected), "{at}");
    }
}

#[test]
fn what_is_not_there_says_which_part() {
    let tree = json!({ "a": { "b": [1] } });
    let text = |text: &str| text.to_string();
    for (at, expected) in [
        ("a", PointerError::Syntax(text("a"))),
        ("/a~2", PointerError::Syntax(text("/a~2"))),
        ("/a/c/d", PointerError::Nothing(text("/a/c"))),
        ("/a/b/1", PointerError::Nothing(text("/a/b/1"))),
        ("/a/b/00", PointerError::Index(text("/a/b/00"))),
        ("/a/b/-", PointerError::Index(text("/a/b/-"))),
        ("/a/b/0/x", PointerError::Leaf(text("/a/b/0"))),
    ] {
        assert_eq!(pointer::get(&tree, at), Err(expected), "{at}");
    }
}

#[test]
fn set_makes_what_is_missing_and_gives_back_what_was() {
    let begin = json!({ "a": { "b": [1, 2] }, "n": null });
    for (at, expected, was) in [
        ("", json!("new"), Ok(Some(begin.clone()))),
        (
            "/a/b",
            json!({ "a": { "b": "new" }, "n": null }),
            Ok(Some(json!([1, 2]))),
        ),
        (
            "/a/b/0",
            json!({ "a": { "b": ["new", 2] }, "n": null }),
            Ok(Some(json!(1))),
        ),
        ("/a/b/2", json!({ "a": { "b": [1, 2, "new"] }, "n": null }), Ok(None)),
        ("/a/b/-", json!({ "a": { "b": [1, 2, "new"] }, "n": null }), Ok(None)),
        (
            "/n/x/y",
            json!({ "a": { "b": [1, 2] }, "n": { "x": { "y": "new" } } }),
            Ok(None),
        ),
        (
            "/z/y",
            json!({ "a": { "b": [1, 2] }, "n": null, "z": { "y": "new" } }),
            Ok(None),
        ),
        ("/a/b/3", begin.clone(), Err(PointerError::Index("/a/b/3".into()))),
        ("/a/b/9/x", begin.clone(), Err(PointerError::Nothing("/a/b/9".into()))),
        ("/a/b/0/x", begin.clone(), Err(PointerError::Leaf("/a/b/0".into()))),
        ("/a/b/0/x/y", begin.clone(), Err(PointerError::Leaf("/a/b/0".into()))),
    ] {
        let mut tree = begin.clone();
        assert_eq!(pointer::set(&mut tree, at, json!("new")), was, "{at}");
        assert_eq!(tree, expected, "{at}");
    }
}

#[test]
fn delete_keeps_the_order_of_the_rest() {
    let mut tree = json!({ "a": 1, "b": 2, "c": [1, 2, 3] });
    assert_eq!(pointer::delete(&mut tree, "/a"), Ok(json!(1)));
    assert_eq!(pointer::delete(&mut tree, "/c/1"), Ok(json!(2)));
    assert_eq!(tree.to_string(), r#"{"b":2,"c":[1,3]}"#);
    assert_eq!(
        pointer::delete(&mut tree, "/a"),
        Err(PointerError::Nothing("/a".into()))
    );
    assert_eq!(
        pointer::delete(&mut tree, "/c/-"),
        Err(PointerError::Index("/c/-".into()))
    );
    assert_eq!(pointer::delete(&mut tree, "").map(|_| tree), Ok(Value::Null));
}
