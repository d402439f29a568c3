//! What is sent.

/// What is sent, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// `$N` in it is another number each time.
    pub(crate) body: Option<String>,
}

/// Ten digits, so that each body is as long as the others.
const NUMBER: &str = "0000000000";

impl Request {
    pub(super) fn message(&self) -> Message {
        let Self { method, path, headers, body } = self;
        let mut lines = vec![format!("{method} {path} HTTP/1.1"), "Host: api.example.com".to_owned()];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let template = body.as_deref().unwrap_or_default();
        let body = template.replace("$N", NUMBER);
        if !body.is_empty() {
            lines.push(format!("Content-Length: {}", body.len()));
        }
        let head = lines.join("\r\n") + "\r\n\r\n";
        let number_at = template.find("$N").map(|at| head.len() + at);
        Message { bytes: (head + &body).into_bytes(), number_at }
    }
}

/// The bytes of a request.
pub(super) struct Message {
    bytes: Vec<u8>,
    number_at: Option<usize>,
}

impl Message {
    /// Those of the next request.
    pub(super) fn next(&mut self) -> &[u8] {
        if let Some(at) = self.number_at {
            for digit in self.bytes[at..at + NUMBER.len()].iter_mut().rev() {
                if *digit < b'9' {
                    *digit += 1;
                    break;
                }
                *digit = b'0';
            }
        }
        &self.bytes
    }
}
