//! A body's top-level members fitted to what a provider takes: some left out, renamed, added, held within bounds.

use crate::{
    json::{Node, Out},
    quirks::{Clamp, Quirks},
};

/// Rewrites the body that stands in `out` from `start` on; the names of what was lost go to `lost`. A body that is no
/// object stays as it is.
pub fn fit(out: &mut Vec<u8>, start: usize, quirks: &Quirks, lost: &mut Vec<String>) {
    if !quirks.edits_members() {
        return;
    }
    let body = out.split_off(start);
    let Ok(document) = Node::document(&body) else {
        return out.extend_from_slice(&body);
    };
    let mut json = Out::new(out);
    json.open();
    for (key, value) in document.members() {
        if quirks.set.iter().any(|(name, _)| *name == key) {
            continue;
        }
        if quirks.drop.iter().any(|name| *name == key) {
            // These two say what the path says.
            if !matches!(&*key, "model" | "stream") {
                lost.push(key.into_owned());
            }
            continue;
        }
        let renamed = quirks.rename.iter().find(|(name, _)| *name == key);
        json.string_key(renamed.map_or(&*key, |(_, name)| name));
        match held(&key, value, &quirks.clamp) {
            Some(bound) => {
                lost.push(key.into_owned());
                json.raw(bound.as_bytes())
            }
            None => json.raw(value.raw()),
        };
    }
    for (name, text) in &quirks.set {
        json.string_key(name).string(text);
    }
    json.close();
}

/// The bound that a number is beyond.
fn held(key: &str, value: Node<'_>, clamps: &[Clamp]) -> Option<String> {
    let clamp = clamps.iter().find(|clamp| clamp.name == key)?;
    let number = value.number()?.value();
    let least = clamp.least.filter(|least| number < *least);
    let bound = least.or(clamp.most.filter(|most| number > *most))?;
    Some(bound.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_left_out_renamed_added_and_bounded() {
        let quirks = Quirks {
            drop: vec!["model".into(), "n".into()],
            rename: vec![("seed".into(), "random_seed".into())],
            set: vec![("version".into(), "v1".into())],
            clamp: vec![Clamp {
                name: "temperature".into(),
                least: None,
                most: Some(1.5),
            }],
            ..Quirks::default()
        };
        let mut out = br#"before{"model":"m","n":2,"seed":7,"a":[1, {"n":3}],"temperature":2,"version":"x"}"#.to_vec();
        let mut lost = Vec::new();
        fit(&mut out, 6, &quirks, &mut lost);
        let right = r#"before{"random_seed":7,"a":[1, {"n":3}],"temperature":1.5,"version":"v1"}"#;
        assert_eq!(String::from_utf8_lossy(&out), right);
        assert_eq!(lost, ["n", "temperature"]);
    }

    #[test]
    fn what_needs_no_edit_stays() {
        let mut out = br#"{"model" : "m"}"#.to_vec();
        fit(&mut out, 0, &Quirks::default(), &mut Vec::new());
        assert_eq!(out, br#"{"model" : "m"}"#);
    }
}
