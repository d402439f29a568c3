//! Bodies of requests, bounded.

use axum::body::Body;
use http_body_util::BodyExt as _;

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
