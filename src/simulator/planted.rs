//! Answers that a test has planted for an interface, this one or one that the simulator does not have.

use std::collections::HashMap;

/// By path, such as `/wxa/msg_sec_check`.
#[derive(Debug, Default)]
pub(super) struct Planted(HashMap<String, (String, Option<u64>)>);

impl Planted {
    pub(super) const MAX_LEN: usize = 1000;

    /// Has `path` answer with this text; so many times, or until it is cleared. `false` when there is no room.
    pub(super) fn set(&mut self, path: String, answer: String, times: Option<u64>) -> bool {
        let has_room = self.0.len() < Self::MAX_LEN || self.0.contains_key(&path);
        if has_room {
            self.0.insert(path, (answer, times));
        }
        has_room
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What is planted for this request, which uses it up once.
    pub(super) fn take(&mut self, path: &str) -> Option<String> {
        let (answer, times) = self.0.get_mut(path)?;
        let answer = answer.clone();
        if let Some(left) = times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.0.remove(path);
            }
        }
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_so_many_requests_or_until_it_is_cleared() {
        let mut planted = Planted::default();
        assert!(planted.set("/a".to_owned(), "1".to_owned(), Some(2)));
        assert!(planted.set("/b".to_owned(), "2".to_owned(), None));
        assert_eq!([(); 3].map(|()| planted.take("/a")), [Some("1".to_owned()), Some("1".to_owned()), None]);
        assert!(planted.set("/b".to_owned(), "3".to_owned(), None));
        assert_eq!(planted.take("/b").as_deref(), Some("3"));
        planted.clear();
        assert_eq!(planted.take("/b"), None);
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut planted = Planted::default();
        for number in 0..Planted::MAX_LEN {
            assert!(planted.set(format!("/{number}"), String::new(), None));
        }
        assert!(!planted.set("/one-more".to_owned(), String::new(), None));
        assert!(planted.set("/0".to_owned(), "again".to_owned(), None));
    }
}
