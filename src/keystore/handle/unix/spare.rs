//! File descriptors that are kept back, so that a revocation is read when connections have taken all others.

use std::fs::File;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

/// A look has a directory, its names and one file open at once. The others are for when somebody else takes one that was
/// just given up.
const COUNT: usize = 8;

static KEPT: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Takes as many as there should be, or as there are.
pub(in crate::keystore) fn keep() {
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    while kept.len() < COUNT {
        let Ok(file) = File::open("/dev/null") else { return };
        kept.push(file);
    }
}

/// Does `open`, which needs a descriptor. Where there is none left, one that was kept is given up for it.
pub(super) fn open<T>(mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match open() {
            // Of this process, or of the whole system.
            Err(error @ (Errno::MFILE | Errno::NFILE)) => {
                let given_up = KEPT.lock().unwrap_or_else(PoisonError::into_inner).pop();
                drop(given_up.ok_or(error)?);
            }
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_the_other_is_given_up_and_no_more_than_there_are() {
        keep();
        let mut tries = 0;
        let result = open(|| {
            tries += 1;
            if tries == 4 { Ok(tries) } else { Err(Errno::MFILE) }
        });
        assert_eq!(result, Ok(4));
        keep();
        let mut tries = 0;
        let result: Result<(), Errno> = open(|| {
            tries += 1;
            Err(Errno::NFILE)
        });
        assert!(result == Err(Errno::NFILE) && tries <= COUNT + 1, "{tries}");
        assert_eq!(open(|| Err::<(), _>(Errno::NOENT)), Err(Errno::NOENT));
    }
}
