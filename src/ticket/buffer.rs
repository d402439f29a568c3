//! The bytes of one ticket. Opening turns them into claims in the clear, so they are wiped on drop.

use super::base64url;
use crate::secret;

/// Longest ticket that is looked at, in characters.
pub const MAX_TICKET_LEN: usize = 1024;
/// Most bytes of a ticket.
pub(super) const MAX_BYTES: usize = MAX_TICKET_LEN / 4 * 3;
/// A usual ticket has 136 bytes; with a phone number and the most of owner's claims it has 225. Longer ids may need more.
const IN_PLACE_LEN: usize = 240;

/// Few bytes lie in place, more on the heap.
pub(super) struct Buffer {
    in_place: [u8; IN_PLACE_LEN],
    on_heap: Option<Box<[u8]>>,
    len: usize,
}

impl Buffer {
    /// No bytes yet, and room for those of a text of so many characters.
    pub(super) fn for_text(characters: usize) -> Self {
        let fits = base64::decoded_len_estimate(characters) <= IN_PLACE_LEN;
        let on_heap = if fits { None } else { Some(vec![0; MAX_BYTES].into()) };
        Self { in_place: [0; IN_PLACE_LEN], on_heap, len: 0 }
    }

    /// Takes what `text` decodes to; `None` unless it is canonical base64url of at most [`MAX_BYTES`].
    pub(super) fn decode(&mut self, text: &[u8]) -> Option<()> {
        self.len = base64url::decode(text, self.on_heap.as_deref_mut().unwrap_or(&mut self.in_place))?;
        Some(())
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.on_heap.as_deref().unwrap_or(&self.in_place).get(..self.len).unwrap_or_default()
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.on_heap.as_deref_mut().unwrap_or(&mut self.in_place).get_mut(..self.len).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        secret::wipe(self.as_mut_slice());
    }
}
