//! The shader functions that expressions call, cut from the `.wgsl` files beside this one. Depends on nothing.
//! Invariant: a printed shader holds a function or struct once, and only if something in it uses it.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// A top-level declaration of the library.
struct Item {
    text: &'static str,
    uses: Vec<&'static str>,
}

static ITEMS: LazyLock<(Vec<&'static str>, HashMap<&'static str, Item>)> = LazyLock::new(|| {
    let mut order = Vec::new();
    let mut texts = HashMap::new();
    for source in [
        include_str!("integer.wgsl"),
        include_str!("float.wgsl"),
        include_str!("angle.wgsl"),
        include_str!("half.wgsl"),
        include_str!("wide.wgsl"),
        include_str!("double.wgsl"),
        include_str!("double_angle.wgsl"),
    ] {
        for block in source.split("\n\n") {
            let Some(start) = block.find("fn ").filter(|&at| starts_line(block, at)).or_else(|| block.find("struct "))
            else {
                continue;
            };
            let text = block[start..].trim_end();
            let name = words(text).nth(1).unwrap_or_default();
            order.push(name);
            texts.insert(name, text);
        }
    }
    let items = order
        .iter()
        .map(|&name| {
            let text = texts[name];
            let uses = words(text).filter_map(|word| texts.get_key_value(word).map(|(&key, _)| key)).collect();
            (name, Item { text, uses })
        })
        .collect();
    (order, items)
});

fn starts_line(block: &str, at: usize) -> bool {
    at == 0 || block.as_bytes()[at - 1] == b'\n'
}

/// The identifiers of a text, keywords included.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The declarations that `body` uses, in the library's order, each followed by an empty line.
pub(super) fn used_by(body: &str) -> String {
    let (order, items) = &*ITEMS;
    let mut used = BTreeSet::new();
    let mut open: Vec<&str> = words(body).filter(|word| items.contains_key(word)).collect();
    while let Some(name) = open.pop() {
        if used.insert(name) {
            open.extend(&items[name].uses);
        }
    }
    let mut text = String::new();
    for name in order.iter().filter(|&&name| used.contains(name)) {
        text.push_str(items[name].text);
        text.push_str("\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_is_printed() {
        let text = used_by("let x = sinh_f32(y);");
        assert!(text.contains("fn expm1_f32") && text.contains("fn is_nan") && !text.contains("fn erf_f32"));
        assert_eq!(used_by("let x = y + z;"), "");
    }
}
