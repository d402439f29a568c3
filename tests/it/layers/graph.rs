//! Which file imports what from which other one, by the text of the sources.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

/// A source file: its path below `src`, and its code without comments and tests.
pub(super) struct File {
    pub(super) path: String,
    pub(super) code: String,
}

/// The files, what each declares, and what each brings into scope.
pub(super) struct Graph<'a> {
    by_module: BTreeMap<String, &'a File>,
    declared: BTreeMap<&'a str, BTreeSet<String>>,
    imported: BTreeMap<&'a str, BTreeMap<String, String>>,
}

/// `http::error` for `http/error.rs`, nothing for the library's root.
fn module(path: &str) -> String {
    match path {
        "lib.rs" => String::new(),
        _ => path.trim_end_matches(".rs").replace('/', "::"),
    }
}

impl<'a> Graph<'a> {
    pub(super) fn of(files: &'a [File]) -> Self {
        let declaration = Regex::new(
            r"(?m)^(?:pub(?:\([^)]*\))? )?(?:const |async )*(?:struct|enum|fn|trait|type|const|static) (\w+)",
        )
        .unwrap();
        let declared =
            |file: &'a File| declaration.captures_iter(&file.code).map(|found| found[1].to_owned()).collect();
        let imported = |file: &'a File| {
            uses(&file.code, true)
                .into_iter()
                .map(|path| (path.rsplit("::").next().unwrap().to_owned(), path))
                .collect()
        };
        Self {
            by_module: files.iter().map(|file| (module(&file.path), file)).collect(),
            declared: files.iter().map(|file| (&*file.path, declared(file))).collect(),
            imported: files.iter().map(|file| (&*file.path, imported(file))).collect(),
        }
    }

    /// For each file those that it takes something from. A name counts for the file that declares it, by whatever way it comes;
    /// that a module lists or re-exports what is below it does not make it depend on that.
    pub(super) fn edges(&self) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
        self.by_module.values().map(|file| (&*file.path, self.taken_by(file))).collect()
    }

    fn taken_by(&self, file: &'a File) -> BTreeSet<&'a str> {
        let inline = Regex::new(r"\b((?:crate|super|self|[a-z_]\w*)(?:::\w+)+)").unwrap();
        // Neither is taken: an import counts once, below, and `pub(in path)` says who may see something.
        let without_uses = Regex::new(r"\buse\s[^;]*;|\bpub\(in [^)]*\)").unwrap().replace_all(&file.code, "");
        let named = inline.captures_iter(&without_uses).map(|found| found[1].to_owned());
        let paths = uses(&file.code, false).into_iter().chain(named);
        let found = paths.filter_map(|path| self.declaring(&self.absolute(&file.path, &path)?, 0));
        found.filter(|path| *path != file.path).collect()
    }

    /// A path from the crate's root; nothing if it leads out of the crate.
    fn absolute(&self, from: &str, path: &str) -> Option<Vec<String>> {
        let own = module(from);
        let mut base: Vec<String> = own.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let mut parts = path.split("::").map(str::to_owned).peekable();
        match parts.peek()?.as_str() {
            "crate" => {
                parts.next();
                base.clear();
            }
            "self" => drop(parts.next()),
            "super" => {
                while parts.next_if(|part| part == "super").is_some() {
                    base.pop();
                }
            }
            first => {
                let below = if own.is_empty() { first.to_owned() } else { format!("{own}::{first}") };
                if !self.by_module.contains_key(&below) {
                    return None;
                }
            }
        }
        Some(base.into_iter().chain(parts).collect())
    }

    /// The file that declares what `path` names; for a module, its file.
    fn declaring(&self, path: &[String], depth: usize) -> Option<&'a str> {
        let (len, file) =
            (0..=path.len()).rev().find_map(|len| Some((len, self.by_module.get(&path[..len].join("::"))?)))?;
        let file = &*file.path;
        let Some(name) = path.get(len) else { return Some(file) };
        if self.declared[file].contains(name) || depth > 8 {
            return Some(file);
        }
        let Some(way) = self.imported[file].get(name) else { return Some(file) };
        let Some(mut further) = self.absolute(file, way) else { return Some(file) };
        further.extend_from_slice(&path[len + 1..]);
        self.declaring(&further, depth + 1)
    }
}

/// The paths that `use` brings into scope, one by one; those that are only handed on as well, if `public`.
fn uses(code: &str, public: bool) -> Vec<String> {
    let import =
        Regex::new(if public { r"(?m)^\s*(?:pub(?:\([^)]*\))? )?use\s+([^;]*);" } else { r"(?m)^\s*use\s+([^;]*);" });
    let mut paths = Vec::new();
    for found in import.unwrap().captures_iter(code) {
        unfold(String::new(), &found[1].split_whitespace().collect::<Vec<_>>().join(" "), &mut paths);
    }
    paths
}

/// `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn unfold(before: String, tree: &str, paths: &mut Vec<String>) {
    let Some((head, rest)) = tree.split_once('{') else {
        let path = before + tree.split(" as ").next().unwrap().trim();
        return paths.push(path.trim_end_matches("::self").to_owned());
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let item = inner[start..at].trim();
                if !item.is_empty() {
                    unfold(format!("{before}{}", head.trim()), item, paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// A way that leads back to where it began, if there is one.
pub(super) fn circle<'a>(edges: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Option<Vec<&'a str>> {
    fn visit<'a>(
        at: &'a str,
        edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        way: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<&'a str>> {
        if let Some(start) = way.iter().position(|seen| *seen == at) {
            return Some(way[start..].to_vec());
        }
        if done.contains(at) {
            return None;
        }
        way.push(at);
        let found = edges.get(at).into_iter().flatten().find_map(|next| visit(next, edges, way, done));
        way.pop();
        done.insert(at);
        found
    }
    let mut done = BTreeSet::new();
    edges.keys().find_map(|start| visit(start, edges, &mut Vec::new(), &mut done))
}
