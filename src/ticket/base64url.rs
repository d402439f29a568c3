//! base64url without padding (RFC 4648 section 5), canonical only, with the vector instructions that the processor has.
//!
//! The engine with vector instructions refuses what the plain one refuses: both share the decoder of everything that is not
//! a whole block of good characters. A test compares them.

use base64::Engine;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static ENGINE: std::sync::LazyLock<base64::engine::Simd> =
    std::sync::LazyLock::new(|| base64::engine::Simd::url_safe(base64::engine::general_purpose::NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static ENGINE: base64::engine::GeneralPurpose = base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub(super) fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// Writes the bytes to the front of `out` and returns how many they are; `None` for any spelling but the canonical one, and
/// for what `out` cannot hold.
pub(super) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    ENGINE.decode_slice(text, out).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &[u8]) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(text).ok()
    }

    fn decoded(text: &[u8]) -> Option<Vec<u8>> {
        let mut out = [0; 768];
        decode(text, &mut out).map(|len| out[..len].to_vec())
    }

    #[test]
    fn any_byte_at_any_place_is_taken_or_refused_as_without_vectors() {
        // All tails, with and without whole blocks of 32 characters before them.
        for len in (0..12).chain(60..74).chain(180..184).chain([1023, 1024]) {
            let text = encode(&[0xa5; 768]).as_bytes()[..len].to_vec();
            for at in (0..len).rev().take(100) {
                for byte in 0..=255 {
                    let mut bent = text.clone();
                    bent[at] = byte;
                    assert_eq!(decoded(&bent), plain(&bent), "{byte:#x} at {at} of {len}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_as_without_vectors(bytes in prop::collection::vec(any::<u8>(), 0..=768)) {
            let text = encode(&bytes);
            prop_assert_eq!(&text, &URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(decoded(text.as_bytes()), Some(bytes));
        }

        #[test]
        fn what_is_decoded_encodes_to_itself(text in "[A-Za-z0-9_-]{0,1024}|[ -~]{0,200}|\\PC{0,200}") {
            prop_assert_eq!(decoded(text.as_bytes()), plain(text.as_bytes()));
            if let Some(bytes) = decoded(text.as_bytes()) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
