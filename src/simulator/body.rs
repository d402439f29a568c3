//! What requests bring: bodies, bounded, and parameters.

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde_json::Value;

/// The whole body, or nothing if it is too long or breaks off. Reads on beyond the limit for a while, so that the
/// client gets around to reading the refusal.
pub(super) async fn read_body(mut body: Body) -> Option<Vec<u8>> {
    const MAX_LEN: usize = 64 * 1024;
    const MAX_DRAINED_LEN: usize = 2 * 1024 * 1024;
    let mut kept = Vec::new();
    let mut read_len = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        read_len += data.len();
        if read_len <= MAX_LEN {
            kept.extend_from_slice(&data);
        } else if read_len > MAX_DRAINED_LEN {
            return None;
        }
    }
    (read_len <= MAX_LEN).then_some(kept)
}

/// The JSON in a body, or `null`.
pub(super) async fn json_in(body: Body) -> Value {
    read_body(body).await.and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default()
}

/// The parameters of these names in a query or a form, decoded; the first of a name counts, and an absent one is empty.
pub(super) fn parameters<const N: usize>(encoded: &str, names: [&str; N]) -> [String; N] {
    let pairs = form_urlencoded::parse(encoded.as_bytes());
    names.map(|wanted| {
        let mut values = pairs.filter(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value);
        values.next().unwrap_or_default().into_owned()
    })
}

/// The fields of these names in a body that is labelled as a form; without the label they are absent.
pub(super) async fn form<const N: usize>(headers: &HeaderMap, body: Body, names: [&str; N]) -> [String; N] {
    let label = headers.get(CONTENT_TYPE).and_then(|label| label.to_str().ok()).unwrap_or_default();
    let is_form = label.split(';').next() == Some("application/x-www-form-urlencoded");
    let body = read_body(body).await.filter(|_| is_form).unwrap_or_default();
    parameters(&String::from_utf8_lossy(&body), names)
}

/// The texts of these names in a JSON object; an absent one, or one that is no text, is empty.
pub(super) fn texts_in<const N: usize>(json: &Value, names: [&str; N]) -> [String; N] {
    names.map(|name| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned())
}
