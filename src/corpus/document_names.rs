//! Unique names for documents.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    ffi::OsStr,
    path::{Component, Path},
};

use super::found::Found;
use crate::sys::on_one_line;

/// For each input, the number of components of its own path that come before the names of its documents.
pub(super) type Extra = HashMap<usize, usize>;

/// A unique name for each document, in order, none of them in `taken`. If a name of an input is also a name of another
/// input, or taken, all names of that input begin with as many components of the input's own path as make them differ,
/// and at least with the number in `extra`.
pub(super) fn named(found: &[&Found], taken: &HashSet<&str>, mut extra: Extra) -> Vec<String> {
    let mut deepest: HashMap<usize, usize> = HashMap::new();
    for entry in found {
        let most = deepest.entry(entry.root).or_default();
        *most = (*most).max(depth(&entry.path));
    }
    let names = loop {
        let names: Vec<_> =
            found.iter().map(|entry| name(entry, extra.get(&entry.root).copied().unwrap_or(0))).collect();
        let mut holders: HashMap<&str, BTreeSet<usize>> = HashMap::new();
        for (name, entry) in names.iter().zip(found) {
            holders.entry(name).or_default().insert(entry.root);
        }
        let clashing: BTreeSet<usize> = holders
            .into_iter()
            .filter(|(name, roots)| roots.len() > 1 || taken.contains(name))
            .flat_map(|(_, roots)| roots)
            .collect();
        let mut longer = false;
        for root in clashing {
            let most = deepest.get(&root).copied().unwrap_or(0);
            let extra = extra.entry(root).or_default();
            longer |= *extra < most;
            *extra = (*extra + 1).min(most);
        }
        if !longer {
            break names;
        }
    };
    let mut used: HashSet<String> = HashSet::new();
    let mut repetitions: BTreeMap<String, usize> = BTreeMap::new();
    let mut unique = |name: String| {
        // Here, only names with escaped bytes and whole paths that are taken can still be equal.
        let mut fresh = name.clone();
        while taken.contains(fresh.as_str()) || used.contains(&fresh) {
            let repetition = repetitions.entry(name.clone()).or_insert(1);
            *repetition += 1;
            fresh = format!("{name} ({repetition})");
        }
        used.insert(fresh.clone());
        fresh
    };
    names.into_iter().map(&mut unique).collect()
}

/// The last components of a path: the path relative to its input, and `extra` components before it.
pub(super) fn name(found: &Found, extra: usize) -> String {
    let normal = found.path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(on_one_line(&escaped(part))),
        _ => None,
    });
    let parts: Vec<_> = normal.collect();
    parts[parts.len().saturating_sub(found.components + extra)..].join("/")
}

/// All names that a document can have been given, the longest first; `longest` is its [`whole_name`].
pub(super) fn possible_names<'a>(longest: &'a str, found: &Found) -> impl Iterator<Item = &'a str> {
    let surplus = longest.split('/').count().saturating_sub(found.components);
    name_suffixes(longest).take(surplus + 1)
}

/// A name, and the same name without its first folder, its first two folders and so on.
pub(super) fn name_suffixes(name: &str) -> impl Iterator<Item = &str> {
    let starts = std::iter::once(0).chain(name.match_indices('/').map(|(slash, _)| slash + 1));
    starts.map(move |start| &name[start..])
}

/// All components of a path.
pub(super) fn whole_name(found: &Found) -> String {
    name(found, depth(&found.path))
}

/// How many components more a planned name has than the path relative to the input.
pub(super) fn extra_of(found: &Found, planned: &str) -> usize {
    let extra = planned.split('/').count().saturating_sub(found.components);
    if extra > 0 && name(found, extra) == planned { extra } else { 0 }
}

fn depth(path: &Path) -> usize {
    path.components().count()
}

/// The name with bytes that are not UTF-8 written as `\xNN`.
pub(super) fn escaped(name: &OsStr) -> String {
    let chunks = name.as_encoded_bytes().utf8_chunks();
    chunks.map(|chunk| format!("{}{}", chunk.valid(), chunk.invalid().escape_ascii())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(root: usize, path: &str, components: usize) -> Found {
        Found { root, path: path.into(), components, problem: None, identity: path.into() }
    }

    fn names(found: &[Found]) -> Vec<String> {
        named_clear_of(&[], found, Extra::new())
    }

    fn named_clear_of(taken: &[&str], found: &[Found], extra: Extra) -> Vec<String> {
        named(&found.iter().collect::<Vec<_>>(), &taken.iter().copied().collect(), extra)
    }

    #[test]
    fn names_are_paths_below_their_input() {
        let found = [entry(0, "/in/fr/a.pdf", 2), entry(0, "/in/ar/a.pdf", 2), entry(1, "/more/b.pdf", 1)];
        assert_eq!(names(&found), ["fr/a.pdf", "ar/a.pdf", "b.pdf"]);
    }

    #[test]
    fn a_name_is_one_line_without_control_characters() {
        let found = [entry(0, "/in/a\u{1b}[2J\nbocr: 0 failed.pdf", 1)];
        assert_eq!(names(&found), ["a\\u001b[2J\\nbocr: 0 failed.pdf"]);
    }

    #[test]
    fn inputs_that_clash_are_told_apart_by_their_own_paths() {
        let found = [entry(0, "/x/fr/a.pdf", 1), entry(0, "/x/fr/b.pdf", 1), entry(1, "/x/ar/a.pdf", 1)];
        assert_eq!(names(&found), ["fr/a.pdf", "fr/b.pdf", "ar/a.pdf"]);
        let deeper = [entry(0, "/x/data/a.pdf", 1), entry(1, "/y/data/a.pdf", 1), entry(2, "/z/c.pdf", 1)];
        assert_eq!(names(&deeper), ["x/data/a.pdf", "y/data/a.pdf", "c.pdf"]);
    }

    #[test]
    fn an_input_within_another_never_hangs() {
        let found = [entry(0, "/a.pdf", 1), entry(1, "/a/a.pdf", 1), entry(2, "/a/a/a.pdf", 1)];
        let names = names(&found);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 3, "{names:?}");
    }

    #[test]
    fn taken_names_are_kept_clear_of_and_what_an_input_adds_is_a_beginning() {
        let found = [entry(0, "/x/fr/a.pdf", 1), entry(0, "/x/fr/b.pdf", 1), entry(1, "/y/c.pdf", 1)];
        assert_eq!(named_clear_of(&["a.pdf", "fr/b.pdf"], &found, Extra::new()), ["x/fr/a.pdf", "x/fr/b.pdf", "c.pdf"]);
        assert_eq!(named_clear_of(&[], &found, Extra::from([(1, 1)])), ["a.pdf", "b.pdf", "y/c.pdf"]);
        let all = ["c.pdf", "y/c.pdf", "y/c.pdf (2)"];
        assert_eq!(named_clear_of(&all, &found[2..], Extra::new()), ["y/c.pdf (3)"]);
    }

    #[test]
    fn a_document_may_have_been_named_with_more_of_its_path() {
        let found = entry(0, "/z/x/data/fr/a.pdf", 2);
        let longest = whole_name(&found);
        let names: Vec<_> = possible_names(&longest, &found).collect();
        assert_eq!(names, ["z/x/data/fr/a.pdf", "x/data/fr/a.pdf", "data/fr/a.pdf", "fr/a.pdf"]);
        let extras = ["x/data/fr/a.pdf", "fr/a.pdf", "a.pdf", "y/data/fr/a.pdf"].map(|name| extra_of(&found, name));
        assert_eq!(extras, [2, 0, 0, 0]);
    }
}
