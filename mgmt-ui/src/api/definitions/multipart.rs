//! Reading the forms that browsers send to import definitions: a file, and where to go after.

/// What such a form holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// The field `file`.
    pub(super) file: Vec<u8>,
    /// The field `redirect`.
    pub(super) redirect: Option<String>,
}

/// The boundary named in a content type, if it is that of a form.
pub(super) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let boundary = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !boundary.is_empty()).then_some(boundary)
    })
}

/// The fields we know; `None` without a file.
pub(super) fn parse(body: &[u8], boundary: &str) -> Option<Form> {
    let separator = format!("--{boundary}").into_bytes();
    let mut file = None;
    let mut redirect = None;
    let mut rest = &body[find(body, &separator)? + separator.len()..];
    while let Some(end) = find(rest, &separator) {
        let part = &rest[..end];
        rest = &rest[end + separator.len()..];
        let Some(split) = find(part, b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&part[..split]);
        let content = &part[split + 4..];
        let content = content.strip_suffix(b"\r\n").unwrap_or(content);
        match field_name(&head).as_deref() {
            Some("file") => file = Some(content.to_vec()),
            Some("redirect") => redirect = Some(String::from_utf8_lossy(content).into_owned()),
            _ => {}
        }
    }
    Some(Form {
        file: file?,
        redirect,
    })
}

/// The name in a part's `Content-Disposition`.
fn field_name(head: &str) -> Option<String> {
    let line = head.lines().find(|line| {
        line.to_ascii_lowercase()
            .starts_with("content-disposition:")
    })?;
    line.split(';').find_map(|parameter| {
        let value = parameter.trim().strip_prefix("name=")?;
        Some(value.trim_matches('"').to_owned())
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_a_browser_is_read() {
        let kind = "multipart/form-data; boundary=----x";
        assert_eq!(boundary(kind), Some("----x"));
        assert_eq!(boundary("multipart/form-data; boundary=\"y\""), Some("y"));
        assert_eq!(boundary("application/json; boundary=x"), None);
        let body = b"------x\r\nContent-Disposition: form-data; name=\"redirect\"\r\n\r\n../#/\r\n\
            ------x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"d.json\"\r\n\
            Content-Type: application/json\r\n\r\n{\"a\":\r\n1}\r\n------x--\r\n";
        let form = Form {
            file: b"{\"a\":\r\n1}".to_vec(),
            redirect: Some("../#/".to_owned()),
        };
        assert_eq!(parse(body, "----x"), Some(form));
        for bad in [
            &b""[..],
            b"------x",
            b"------x--",
            b"------x\r\n\r\n\r\n------x",
        ] {
            assert_eq!(parse(bad, "----x"), None);
        }
    }
}
