//! `repetition_detection`: the engine ends an answer whose last tokens repeat themselves (`docs/facts/vllm.md`,
//! "Endings and sampling").

use serde::Deserialize;

/// The settings of a request. Fields that it leaves out are 0, as on a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct RepetitionDetection {
    /// Longest pattern, tokens; 0 turns it off.
    pub max_pattern_size: usize,
    /// Shortest pattern, tokens; 0 means 1.
    pub min_pattern_size: usize,
    /// Number of copies at the end of the answer.
    pub min_count: usize,
}

impl RepetitionDetection {
    /// Whether it is turned off, or could fire.
    pub fn makes_sense(self) -> bool {
        self.max_pattern_size == 0 || self.min_count >= 2
    }

    /// Number of tokens at which it fires; `None` where it never does.
    pub fn fires_at<'t>(self, tokens: impl Iterator<Item = &'t str>) -> Option<usize> {
        if self.max_pattern_size == 0 || self.min_count < 2 {
            return None;
        }
        let mut seen: Vec<&str> = Vec::new();
        for token in tokens {
            seen.push(token);
            let longest = self.max_pattern_size.min(seen.len() / self.min_count);
            if (self.min_pattern_size.max(1)..=longest).any(|size| repeats(&seen, size, self.min_count)) {
                return Some(seen.len());
            }
        }
        None
    }
}

/// Whether the tail consists of `count` copies of its last `size` tokens.
fn repeats(tokens: &[&str], size: usize, count: usize) -> bool {
    let tail = &tokens[tokens.len() - size * count..];
    tail.iter().zip(&tail[size..]).all(|(one, next)| one == next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_repetition(
        text: &str,
        max_pattern_size: usize,
        min_pattern_size: usize,
        min_count: usize,
    ) -> Option<usize> {
        RepetitionDetection { max_pattern_size, min_pattern_size, min_count }.fires_at(text.split(' '))
    }

    #[test]
    fn it_fires_at_the_token_that_completes_the_last_copy() {
        assert_eq!(first_repetition("x a b a b a b a", 4, 1, 3), Some(7));
        assert_eq!(first_repetition("a a a a", 4, 2, 2), Some(4), "two copies of two");
        assert_eq!(first_repetition("a a a b a a a b", 4, 1, 4), None);
        assert_eq!(first_repetition("a a a a", 0, 0, 2), None, "turned off");
        assert_eq!(first_repetition("a b a b", 1, 0, 2), None, "the pattern is too long");
    }
}
