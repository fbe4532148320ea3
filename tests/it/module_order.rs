//! The order of the modules: `src/lib.rs` lists them top to bottom, a module uses only modules below it, and no files of
//! a module use each other in a circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Item, ItemImpl, ItemUse, Type, UseTree, Visibility,
    visit::{self, Visit},
};

/// A module by its path below the crate: `["store", "writer"]`.
type Module = Vec<String>;

/// What a source file says of others.
#[derive(Default)]
struct SourceFile {
    /// Paths that it names, as written: from `use`, and from `crate::…` and `super::…` elsewhere.
    named: Vec<Vec<String>>,
    /// What it re-exports: the name, and the path of it as written.
    exports: Vec<(String, Vec<String>)>,
    /// Types that it defines.
    types: BTreeSet<String>,
    /// Types that it has an `impl` of.
    implements: BTreeSet<String>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    let of_tests = |attribute: &Attribute| attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && of_tests(attribute))
}

/// The paths of a `use`, with the name each has from then on.
fn paths_of(tree: &UseTree, before: &[String], paths: &mut Vec<(String, Vec<String>)>) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => paths_of(&path.tree, &with(path.ident.to_string()), paths),
        UseTree::Name(name) => paths.push((name.ident.to_string(), with(name.ident.to_string()))),
        UseTree::Rename(rename) => paths.push((rename.rename.to_string(), with(rename.ident.to_string()))),
        UseTree::Glob(_) => paths.push(("*".into(), before.to_vec())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| paths_of(tree, before, paths)),
    }
}

impl<'ast> Visit<'ast> for SourceFile {
    fn visit_item(&mut self, item: &'ast Item) {
        let (attributes, defined) = match item {
            Item::Mod(item) => (&item.attrs, None),
            Item::Struct(item) => (&item.attrs, Some(&item.ident)),
            Item::Enum(item) => (&item.attrs, Some(&item.ident)),
            Item::Fn(item) => (&item.attrs, None),
            Item::Impl(item) => (&item.attrs, None),
            Item::Use(item) => (&item.attrs, None),
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            self.types.extend(defined.map(ToString::to_string));
            visit::visit_item(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if let Type::Path(path) = &*item.self_ty {
            self.implements.extend(path.path.segments.last().map(|segment| segment.ident.to_string()));
        }
        visit::visit_item_impl(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut paths = Vec::new();
        paths_of(&item.tree, &[], &mut paths);
        match item.vis {
            Visibility::Inherited => self.named.extend(paths.into_iter().map(|(_, path)| path)),
            // To pass a name on is not to use it.
            _ => self.exports.extend(paths),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if segments.len() > 1 && ["crate", "super"].contains(&&*segments[0]) {
            self.named.push(segments);
        }
        visit::visit_path(self, path);
    }
}

/// All modules of the crate with their sources.
struct Sources(BTreeMap<Module, SourceFile>);

impl Sources {
    fn read(folder: &str) -> Sources {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        find(&root, &mut files);
        let read = |path: &PathBuf| {
            let mut module: Module = path.strip_prefix(&root).unwrap().with_extension("").iter().map(text).collect();
            if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&&**last)) {
                module.pop();
            }
            let mut source = SourceFile::default();
            source.visit_file(&syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap());
            (module, source)
        };
        Sources(files.iter().map(read).filter(|(module, _)| !module.is_empty()).collect())
    }

    /// A path as written in `module`, from the crate on.
    fn absolute(&self, module: &Module, written: &[String]) -> Option<Module> {
        let supers = written.iter().take_while(|segment| *segment == "super").count();
        match &*written[0] {
            "crate" => Some(written[1..].to_vec()),
            "self" => Some([module, &written[1..]].concat()),
            "super" => Some([&module[..module.len().saturating_sub(supers)], &written[supers..]].concat()),
            child => {
                let is_child = self.0.contains_key(&[&**module, &[child.to_owned()]].concat());
                is_child.then(|| [module, written].concat())
            }
        }
    }

    /// The module that defines what an absolute path names; re-exports are followed.
    fn definition(&self, path: &[String]) -> Option<Module> {
        let module = (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|m| self.0.contains_key(m))?;
        let Some(name) = path.get(module.len()) else { return Some(module) };
        let export = self.0[&module].exports.iter().find(|(exported, _)| exported == name);
        let target = export.and_then(|(_, written)| self.absolute(&module, written)).filter(|target| target != path);
        target.and_then(|target| self.definition(&target)).or(Some(module))
    }

    /// Which module uses which. Not counted: a file that has an `impl` of a type, and uses the file of the same module
    /// that defines the type.
    fn uses(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let used_by = |module: &Module, source: &SourceFile| {
            let named = source.named.iter().filter_map(|written| self.definition(&self.absolute(module, written)?));
            let spreads =
                |other: &Module| other[0] == module[0] && !self.0[other].types.is_disjoint(&source.implements);
            named.filter(|other| other != module && !spreads(other)).collect()
        };
        self.0.iter().map(|(module, source)| (module.clone(), used_by(module, source))).collect()
    }
}

fn text(name: &std::ffi::OsStr) -> String {
    name.to_str().unwrap().to_owned()
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// A way from `module` back to itself over files of its own top module.
fn circle(module: &Module, uses: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    let mut ways = vec![vec![module.clone()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in uses[way.last()?].iter().filter(|next| next[0] == module[0]) {
            if next == module {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([&*way, std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

#[test]
fn a_module_uses_only_modules_below_it() {
    let lib = include_str!("../../src/lib.rs");
    let listed: Vec<_> =
        lib.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split_once('`')).map(|(name, _)| name).collect();
    let declared: BTreeSet<_> = lib.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';')).collect();
    assert_eq!(listed.iter().copied().collect::<BTreeSet<_>>(), declared, "every module is in the list of src/lib.rs");
    let place = |module: &Module| listed.iter().position(|name| *name == module[0]).unwrap();
    for (module, used) in Sources::read("src").uses() {
        let upwards: Vec<_> =
            used.iter().filter(|other| other[0] != module[0] && place(other) <= place(&module)).collect();
        assert_eq!(upwards, [] as [&Module; 0], "{} uses what stands above it", module.join("::"));
    }
}

#[test]
fn no_files_of_a_module_use_each_other_in_a_circle() {
    for (folder, files, links) in [("src", 200, 500), ("crates/page-image/src", 20, 20)] {
        let uses = Sources::read(folder).uses();
        let found = (uses.len(), uses.values().map(BTreeSet::len).sum::<usize>());
        assert!(found.0 > files && found.1 > links, "the sources of {folder} were read: {found:?}");
        let circles: Vec<_> = uses.keys().filter_map(|module| circle(module, &uses)).collect();
        let shown: Vec<_> = circles.iter().map(|way| way.iter().map(|m| m.join("::")).collect::<Vec<_>>()).collect();
        assert!(shown.is_empty(), "{shown:#?}");
    }
}
