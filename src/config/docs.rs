//! The reference page: renders the table of keys as Markdown and holds docs/configuration.md to
//! it. `WARREN_WRITE_DOCS=1 cargo test configuration_page` writes the generated parts anew.

use super::{keys, refused};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");

fn keys_section() -> String {
    let mut out = String::new();
    for (title, keys) in keys::GROUPS {
        out +=
            &format!("\n### {title}\n\n| key | default | accepts | effect |\n|---|---|---|---|\n");
        for key in keys {
            let default = match key
                .default
                .strip_prefix('(')
                .and_then(|d| d.strip_suffix(')'))
            {
                Some(described) => described.to_owned(),
                None => format!("`{}`", key.default),
            };
            out += &format!(
                "| `{}` | {default} | {} | {} |\n",
                key.name, key.accepts, key.doc
            );
        }
    }
    out + "\n"
}

fn refused_section() -> String {
    let mut all: Vec<_> = refused::all().collect();
    all.sort_unstable();
    let mut out = "\n| key | why |\n|---|---|\n".to_owned();
    for (name, reason) in all {
        out += &format!("| `{name}` | {reason} |\n");
    }
    out + "\n"
}

/// The page with the text between two markers replaced.
fn with_section(page: &str, name: &str, section: &str) -> String {
    let begin = format!("<!-- generated: {name} -->\n");
    let end = format!("<!-- end: {name} -->\n");
    let (before, rest) = page
        .split_once(&begin)
        .expect("the page has the opening marker");
    let (_, after) = rest
        .split_once(&end)
        .expect("the page has the closing marker");
    format!("{before}{begin}{section}{end}{after}")
}

#[test]
fn configuration_page_lists_every_key_with_its_default() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let wanted = with_section(&page, "keys", &keys_section());
    let wanted = with_section(&wanted, "refused", &refused_section());
    if std::env::var_os("WARREN_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "stale: run `WARREN_WRITE_DOCS=1 cargo test configuration_page`"
        );
    }
}
