//! Options of a launch command.

/// The value that a command gives to an option, as `--option value` or `--option=value`.
pub fn option_value<'a>(command: &'a [String], option: &str) -> Option<&'a str> {
    let beside = command.windows(2).find(|pair| pair[0] == option).map(|pair| pair[1].as_str());
    beside.or_else(|| command.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('=')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_beside_its_option_or_is_joined_to_it() {
        let of = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            option_value(&words, "--revision").map(str::to_owned)
        };
        assert_eq!(of(&["vllm", "serve", "m", "--revision", "5e1f"]).as_deref(), Some("5e1f"));
        assert_eq!(of(&["vllm", "serve", "m", "--revision=v2"]).as_deref(), Some("v2"));
        assert_eq!(of(&["vllm", "serve", "m", "--revisions=v2"]), None);
    }
}
