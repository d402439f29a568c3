//! Phone numbers as platforms write them, made one: `+`, country code, number.

use std::fmt;

use crate::claims::PhoneNumber;

/// A phone number that a platform names: country code and number, which make up E.164. Personal data: `Debug` hides it.
#[derive(Clone, Eq, PartialEq)]
pub struct Phone {
    number: PhoneNumber,
    country_code: String,
    pure: String,
}

/// Why three texts are no phone number. Never holds any of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// There is none, or it is something else.
    #[error("the country code is not 1 to 3 digits that begin with 1 to 9")]
    CountryCode,
    /// Too short, too long, or something but digits.
    #[error("the phone number is not 4 to 14 digits, 15 with the country code")]
    Number,
    /// They are two numbers, or a number of another country.
    #[error("the phone number, its pure form and the country code do not agree")]
    Disagree,
}

impl Phone {
    /// Takes `phoneNumber`, `purePhoneNumber` and `countryCode` as platforms give them, the last perhaps not at all.
    ///
    /// Spaces, dashes and brackets are left out, and so are `+` and `00` before a country code. `phone_number` is the pure
    /// one, or the country code and the pure one. A country code with an area (`1-876`) gives the area to the number.
    ///
    /// # Errors
    /// [`PhoneError`]: what is left is no phone number, or not one.
    pub fn new(phone_number: &str, pure: &str, country_code: Option<&str>) -> Result<Self, PhoneError> {
        let (full, pure) = (Digits::of(phone_number)?, Digits::of(pure)?);
        let stated = match country_code.filter(|text| !text.is_empty()) {
            Some(text) => Digits::of(text).map_err(|_| PhoneError::CountryCode)?.digits,
            // Without a country code the full number tells it, if it is plainly an international one.
            None => full.before(&pure).ok_or(PhoneError::CountryCode)?,
        };
        let (country_code, area) = split_country_code(&stated)?;
        let pure = national(pure, country_code, area)?;
        let fits = matches!(pure.len(), 4..=14) && country_code.len() + pure.len() <= 15;
        if !fits {
            return Err(PhoneError::Number);
        }
        let without_area = pure.strip_prefix(area).unwrap_or(&pure);
        let international = full.digits.strip_prefix(country_code);
        let agrees = international == Some(&*pure)
            || (!full.is_international && (full.digits == pure || full.digits == without_area));
        if !agrees {
            return Err(PhoneError::Disagree);
        }
        let number = PhoneNumber::parse(&format!("+{country_code}{pure}")).map_err(|_| PhoneError::Number)?;
        Ok(Self { number, country_code: country_code.to_owned(), pure })
    }

    /// `+8613800000000` (ITU-T E.164).
    #[must_use]
    pub const fn number(&self) -> &PhoneNumber {
        &self.number
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

/// What is left of a number, or of a country code, once nothing but digits counts.
struct Digits {
    digits: String,
    /// Whether it began with `+` or `00`, so that a country code comes first.
    is_international: bool,
}

impl Digits {
    fn of(text: &str) -> Result<Self, PhoneError> {
        let is_filler =
            |c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '(' | ')' | '[' | ']');
        let kept: String = text.chars().filter(|&c| !is_filler(c)).collect();
        let international = kept.strip_prefix('+').map(|rest| rest.strip_prefix("00").unwrap_or(rest));
        let international = international.or_else(|| kept.strip_prefix("00"));
        let digits = international.unwrap_or(&kept);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PhoneError::Number);
        }
        Ok(Self { digits: digits.to_owned(), is_international: international.is_some() })
    }

    /// What an international number has before the `national` one.
    fn before(&self, national: &Self) -> Option<String> {
        let before = self.digits.strip_suffix(&national.digits).filter(|before| !before.is_empty())?;
        (self.is_international && !national.is_international).then(|| before.to_owned())
    }
}

/// Country code and area. Only numbers of North America and the Caribbean, which all have country code 1 and an area of three
/// digits, are named by both.
fn split_country_code(digits: &str) -> Result<(&str, &str), PhoneError> {
    match digits.len() {
        _ if digits.starts_with('0') => Err(PhoneError::CountryCode),
        1..=3 => Ok((digits, "")),
        4 if digits.starts_with('1') => digits.split_at_checked(1).ok_or(PhoneError::CountryCode),
        _ => Err(PhoneError::CountryCode),
    }
}

/// The number within its country, the area included.
fn national(pure: Digits, country_code: &str, area: &str) -> Result<String, PhoneError> {
    /// A number of North America without country code and area.
    const LOCAL_LEN: usize = 7;
    let national = if pure.is_international {
        pure.digits.strip_prefix(country_code).ok_or(PhoneError::Disagree)?.to_owned()
    } else {
        pure.digits
    };
    if area.is_empty() || national.starts_with(area) && national.len() == area.len() + LOCAL_LEN {
        Ok(national)
    } else if national.len() == LOCAL_LEN {
        Ok(format!("{area}{national}"))
    } else {
        Err(PhoneError::Disagree)
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
            assert_eq!(Phone::new(phone_number, pure, Some(country_code)).unwrap().number().as_str(), e164);
        }
        for (phone_number, pure, country_code, error) in [
            ("13800000001", "13800000000", "86", PhoneError::Disagree),
            ("+113800000000", "13800000000", "86", PhoneError::Disagree),
            ("+13800000000", "13800000000", "86", PhoneError::Disagree),
            ("0013800000000", "13800000000", "86", PhoneError::Disagree),
            ("+8613800000000", "+113800000000", "86", PhoneError::Disagree),
            ("13800000000", "13800000000", "", PhoneError::CountryCode),
            ("13800000000", "13800000000", "086", PhoneError::CountryCode),
            ("13800000000", "13800000000", "8600", PhoneError::CountryCode),
            ("13800000000", "13800000000", "+", PhoneError::CountryCode),
            ("13800000000", "13800000000", "cn", PhoneError::CountryCode),
            ("", "", "86", PhoneError::Number),
            ("+", "", "", PhoneError::Number),
            ("1380000000x", "1380000000x", "86", PhoneError::Number),
            ("1380+0000000", "1380+0000000", "86", PhoneError::Number),
            ("123", "123", "1", PhoneError::Number),
            ("12345678901234", "12345678901234", "86", PhoneError::Number),
            ("\u{ff11}23456", "\u{ff11}23456", "86", PhoneError::Number),
        ] {
            let outcome = Phone::new(phone_number, pure, Some(country_code));
            assert_eq!(outcome, Err(error), "{phone_number} {pure} {country_code}");
        }
    }

    #[test]
    fn spellings_of_one_number_become_one() {
        for (phone_number, pure, country_code) in [
            ("0085261234567", "61234567", "00852"),
            ("0085261234567", "0085261234567", "00852"),
            ("+852-6123 4567", "6123 4567", "852"),
            ("+852-6123 4567", "+852-6123 4567", "+852"),
            ("(852) 6123\u{2013}4567", "6123-4567", "+00852"),
            ("\u{a0}61234567", "[6123] 4567 ", " 852"),
            ("85261234567", "61234567", "00 852"),
        ] {
            let phone = Phone::new(phone_number, pure, Some(country_code));
            assert_eq!(phone.unwrap().number().as_str(), "+85261234567", "{phone_number} {pure} {country_code}");
        }
    }

    #[test]
    fn an_area_in_the_country_code_belongs_to_the_number() {
        for (phone_number, pure, country_code) in [
            ("+18765550123", "8765550123", "1"),
            ("+1-876-555-0123", "8765550123", "1-876"),
            ("18765550123", "5550123", "1876"),
            ("5550123", "5550123", "+1 (876)"),
        ] {
            let phone = Phone::new(phone_number, pure, Some(country_code)).unwrap();
            assert_eq!(
                (phone.country_code(), phone.pure()),
                ("1", "8765550123"),
                "{phone_number} {pure} {country_code}"
            );
        }
        for (phone_number, pure, country_code) in [
            ("+18765550123", "4165550123", "1-876"),
            ("+18765550123", "55501234", "1-876"),
            ("+14165550123", "5550123", "1-876"),
        ] {
            assert_eq!(Phone::new(phone_number, pure, Some(country_code)), Err(PhoneError::Disagree), "{pure}");
        }
    }

    #[test]
    fn an_international_number_tells_the_country_code_that_is_missing() {
        for country_code in [None, Some("")] {
            for phone_number in ["+85261234567", "0085261234567"] {
                assert_eq!(Phone::new(phone_number, "61234567", country_code).unwrap().country_code(), "852");
            }
            for phone_number in ["61234567", "85261234567", "+61234567", "+852161234567"] {
                let outcome = Phone::new(phone_number, "61234567", country_code);
                assert_eq!(outcome, Err(PhoneError::CountryCode), "{phone_number}");
            }
        }
    }

    #[test]
    fn debug_output_shows_no_number() {
        assert_eq!(format!("{:?}", Phone::new("13800000000", "13800000000", Some("86")).unwrap()), "Phone(..)");
    }
}
