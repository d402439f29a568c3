//! Tickets that are none, from one that is.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The last bit of the tag is another one: it costs a whole authentication to see that.
pub(crate) fn last_bit_flipped(ticket: &str) -> String {
    changed(ticket, |bytes| *bytes.last_mut().expect("a tag") ^= 1)
}

/// Under a key that nobody has.
pub(crate) fn under_unknown_kid(ticket: &str) -> String {
    changed(ticket, |bytes| *bytes.get_mut(1).expect("a kid") ^= 1)
}

fn changed(ticket: &str, change: impl Fn(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(ticket).expect("a ticket");
    change(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
