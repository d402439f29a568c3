//! Phone numbers as platforms write them, made one: `+`, country code, number.

use std::fmt;

/// A phone number that a platform names: country code and number, which make up E.164. Personal data: `Debug` hides it.
#[derive(Clone, Eq, PartialEq)]
pub struct Phone {
    country_code: String,
    pure: String,
}

/// The three texts are no phone number, or do not agree.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the phone number, its pure form and the country code do not agree")]
pub struct PhoneError;

impl Phone {
    /// Takes `phoneNumber`, `purePhoneNumber` and `countryCode` as platforms give them.
    ///
    /// `phone_number` is the pure one, or the country code, with or without `+`, and the pure one.
    ///
    /// # Errors
    /// [`PhoneError`]: something but digits, together not 5 to 15 of them, or texts that do not agree.
    pub fn new(phone_number: &str, pure: &str, country_code: &str) -> Result<Self, PhoneError> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let country_code = country_code.strip_prefix('+').unwrap_or(country_code);
        let len_fits = (5..=15).contains(&(country_code.len() + pure.len()));
        let national = phone_number.strip_prefix('+').unwrap_or(phone_number).strip_prefix(country_code);
        let agrees = phone_number == pure || national == Some(pure);
        if digits(country_code) && digits(pure) && len_fits && agrees {
            Ok(Self { country_code: country_code.to_owned(), pure: pure.to_owned() })
        } else {
            Err(PhoneError)
        }
    }

    /// `+8613800000000` (ITU-T E.164).
    #[must_use]
    pub fn e164(&self) -> String {
        format!("+{}{}", self.country_code, self.pure)
    }

    /// `86`.
    #[must_use]
    pub fn country_code(&self) -> &str {
        &self.country_code
    }

    /// `13800000000`.
    #[must_use]
    pub fn pure(&self) -> &str {
        &self.pure
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_texts_have_to_agree() {
        for (phone_number, pure, country_code, e164) in [
            ("13800000000", "13800000000", "86", "+8613800000000"),
            ("+8613800000000", "13800000000", "86", "+8613800000000"),
            ("8613800000000", "13800000000", "+86", "+8613800000000"),
            ("+85291234567", "91234567", "852", "+85291234567"),
        ] {
            assert_eq!(Phone::new(phone_number, pure, country_code).unwrap().e164(), e164);
        }
        for (phone_number, pure, country_code) in [
            ("13800000001", "13800000000", "86"),
            ("+113800000000", "13800000000", "86"),
            ("13800000000", "13800000000", ""),
            ("", "", "86"),
            ("1380000000x", "1380000000x", "86"),
            ("+", "", ""),
            ("123", "123", "1"),
            ("12345678901234", "12345678901234", "86"),
            ("+13800000000", "13800000000", "86"),
            ("\u{ff11}23456", "\u{ff11}23456", "86"),
        ] {
            assert!(Phone::new(phone_number, pure, country_code).is_err(), "{phone_number} {pure} {country_code}");
        }
    }

    #[test]
    fn debug_output_shows_no_number() {
        assert_eq!(format!("{:?}", Phone::new("13800000000", "13800000000", "86").unwrap()), "Phone(..)");
    }
}
