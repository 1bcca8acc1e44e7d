//! Just enough HTTP to ask the management interface something.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Status and body of a GET. The password of every user here is their name.
pub(crate) fn get(addr: SocketAddr, path: &str, user: Option<&str>) -> (u16, String) {
    send(addr, "GET", path, user, "")
}

/// Status and body of a request with this JSON body.
pub(crate) fn send(
    addr: SocketAddr,
    method: &str,
    path: &str,
    user: Option<&str>,
    body: &str,
) -> (u16, String) {
    send_with(addr, (method, path), user, "", body)
}

/// The same with further headers, each ended by CR LF.
pub(crate) fn send_with(
    addr: SocketAddr,
    (method, path): (&str, &str),
    user: Option<&str>,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).expect("an HTTP server");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    let authorization = user.map_or_else(String::new, |user| {
        format!(
            "Authorization: Basic {}\r\n",
            base64(format!("{user}:{user}").as_bytes())
        )
    });
    // 1.0, so that no body comes in chunks.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {addr}\r\n{authorization}{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(request.as_bytes())
        .expect("the request is sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a status");
    (status, body.to_owned())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    out
}
