//! `rawData` and its `signature`, as `WeChat` and those that follow it sign what a client gets of a profile.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};

use crate::claims::SessionKey;
use crate::secret::SecretText;

/// Whether `signature` is over exactly `raw_data`: SHA-1 of it and the text of the `session_key`, in lower-case hex.
pub(super) fn has_signed(session_key: &SessionKey, raw_data: &str, signature: &str) -> bool {
    let mut context = digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(raw_data.as_bytes());
    context.update(session_key.to_text().expose().as_bytes());
    SecretText::new(hex::encode(context.finish())).is(signature)
}
