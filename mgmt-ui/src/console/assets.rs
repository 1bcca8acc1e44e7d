//! The console's files: embedded in the binary, or read from a directory while developing.
//!
//! A file carries its hash as `ETag`, so a reload costs a question and no bytes. The page itself
//! holds nothing that is not public; all data comes from the API, which asks for a login.

use std::path::{Component, Path};

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "console/"]
struct Files;

/// One file of the console, or 404. With `directory`, the file on disk wins.
pub(crate) fn file(path: &str, directory: Option<&Path>, headers: &HeaderMap) -> Response {
    if let Some(found) = directory.and_then(|directory| from_disk(directory, path)) {
        return ([(CONTENT_TYPE, kind(path))], found).into_response();
    }
    let Some(found) = Files::get(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = etag(&found.metadata.sha256_hash());
    if headers
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, [(ETAG, tag)]).into_response();
    }
    let headers = [(CONTENT_TYPE, kind(path).to_owned()), (ETAG, tag)];
    (headers, Body::from(found.data)).into_response()
}

fn from_disk(directory: &Path, path: &str) -> Option<Vec<u8>> {
    let path = Path::new(path);
    // Nothing outside the directory, however it is written.
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    plain
        .then(|| std::fs::read(directory.join(path)).ok())
        .flatten()
}

fn etag(hash: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in &hash[..12] {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push('"');
    text
}

fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        String::from_utf8(Files::get(path).unwrap().data.into_owned()).unwrap()
    }

    #[test]
    fn what_the_page_and_its_modules_ask_for_is_there() {
        for file in Files::iter().filter(|file| file.ends_with(".js")) {
            for line in text(&file)
                .lines()
                .filter(|line| line.starts_with("import "))
            {
                let wanted = line.rsplit('"').nth(1).unwrap();
                let folder = Path::new(&*file).parent().unwrap();
                let mut path = folder.to_path_buf();
                for part in wanted.split('/') {
                    match part {
                        "." => {}
                        ".." => assert!(path.pop(), "{file}: {wanted}"),
                        part => path.push(part),
                    }
                }
                assert!(
                    Files::get(path.to_str().unwrap()).is_some(),
                    "{file}: {wanted}"
                );
            }
        }
        let page = text("index.html");
        // All modules are asked for at once, not level by level.
        for file in Files::iter().filter(|file| file.ends_with(".js")) {
            assert!(page.contains(&format!("/console/{file}\"")), "{file}");
        }
        for wanted in ["app.css", "icon.svg", "js/main.js"] {
            assert!(page.contains(&format!("/console/{wanted}")));
            assert!(Files::get(wanted).is_some());
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for file in Files::iter().filter(|file| !file.ends_with(".svg")) {
            let text = text(&file);
            for wrong in [
                "//cdn",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "eval(",
                "document.write",
            ] {
                assert!(!text.contains(wrong), "{file}: {wrong}");
            }
        }
        let page = text("index.html");
        assert!(!page.contains("<style") && !page.contains("style=") && !page.contains("onclick="));
        assert_eq!(
            page.matches("<script").count(),
            page.matches("src=\"/console/").count()
        );
    }

    #[test]
    fn a_directory_wins_and_cannot_be_left() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("app.css"), "mine").unwrap();
        assert_eq!(from_disk(dir.path(), "app.css").unwrap(), b"mine");
        for path in ["../app.css", "/etc/hostname", "js/../../x", "none.css"] {
            assert!(from_disk(dir.path(), path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_known_file_is_not_sent_again() {
        let first = file("app.css", None, &HeaderMap::new());
        assert_eq!(first.status(), 200);
        let tag = first.headers()[ETAG].clone();
        let again = file(
            "app.css",
            None,
            &HeaderMap::from_iter([(IF_NONE_MATCH, tag)]),
        );
        assert_eq!(again.status(), 304);
        assert_eq!(file("nope", None, &HeaderMap::new()).status(), 404);
    }
}
