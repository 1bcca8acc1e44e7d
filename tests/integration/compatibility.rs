//! The table of `docs/compatibility.md` says only what tests say.

use std::{collections::BTreeSet, fs, path::Path};

const STATUSES: [&str; 4] = ["yes", "unproven", "differs: ", "absent: "];

/// Adds the names of all test functions in the sources below `folder`.
fn test_names(folder: &Path, names: &mut BTreeSet<String>) {
    let entries = fs::read_dir(folder).expect("a folder of the sources");
    for path in entries.map(|entry| entry.expect("readable").path()) {
        if path.is_dir() {
            test_names(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("UTF-8");
            names.extend(names_in(&source));
        }
    }
}

/// The functions that follow a `#[test]`, with other attributes in between or not.
fn names_in(source: &str) -> impl Iterator<Item = String> + '_ {
    let mut marked = false;
    source.lines().filter_map(move |line| {
        let line = line.trim();
        if line.contains("test]") || line.contains("::test(") {
            marked = true;
        }
        let (_, function) = line.split_once("fn ")?;
        let name = function.split(['(', '<']).next()?;
        std::mem::take(&mut marked).then(|| name.to_owned())
    })
}

/// The row ids in a test's name: `q02_x` and `row_q_2_x` name Q-2.
fn ids(name: &str) -> BTreeSet<String> {
    let words: Vec<&str> = name.split('_').collect();
    let id = |letter: &str, number: &str| {
        let letter = letter.to_ascii_uppercase();
        let one_letter = letter.len() == 1 && letter.chars().all(|c| c.is_ascii_uppercase());
        let number: u32 = number.parse().ok().filter(|_| one_letter)?;
        Some(format!("{letter}-{number}"))
    };
    let joined = words
        .iter()
        .filter_map(|word| id(word.get(..1)?, &word[1..]));
    let apart = words.windows(2).filter_map(|pair| id(pair[0], pair[1]));
    joined.chain(apart).collect()
}

#[test]
fn what_the_compatibility_table_promises_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for folder in [
        "amqp",
        "broker",
        "exchanges",
        "mgmt-ui",
        "src",
        "storage",
        "tests",
    ] {
        test_names(&root.join(folder), &mut names);
    }
    let tested: BTreeSet<String> = names.iter().flat_map(|name| ids(name)).collect();
    let table = fs::read_to_string(root.join("docs/compatibility.md")).expect("the table");
    let mut seen = BTreeSet::new();
    for line in table.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let (id, status) = (cells[0], cells[cells.len() - 1]);
        if id == "id" || id.starts_with("--") {
            continue;
        }
        assert!(seen.insert(id.to_owned()), "{id} stands there twice");
        let known = STATUSES.iter().any(|known| match known.strip_suffix(' ') {
            Some(_) => status.len() > known.len() && status.starts_with(known),
            None => status == *known,
        });
        assert!(known, "{id} has the status {status:?}");
        if status == "yes" {
            assert!(
                tested.contains(id),
                "{id} is promised, but no test names it"
            );
        }
    }
    assert!(seen.len() > 300, "rows are missing: {}", seen.len());
}
