//! What requests bring: bodies, bounded, and parameters.

use axum::body::Body;
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

/// The parameters of these names in a query or a form, decoded; the first of a name counts, and an absent one is empty.
pub(super) fn parameters<const N: usize>(encoded: &str, names: [&str; N]) -> [String; N] {
    let pairs = form_urlencoded::parse(encoded.as_bytes());
    names.map(|wanted| {
        let mut values = pairs.filter(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value);
        values.next().unwrap_or_default().into_owned()
    })
}

/// The texts of these names in a JSON object; an absent one, or one that is no text, is empty.
pub(super) fn texts_in<const N: usize>(json: &Value, names: [&str; N]) -> [String; N] {
    names.map(|name| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned())
}
