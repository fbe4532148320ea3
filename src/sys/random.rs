//! Random bytes of the operating system, for keys and names.

use std::io;

/// `bytes` random bytes as lower-case hexadecimal digits, two for each byte.
///
/// # Errors
/// The system gives no random bytes.
pub fn random_hex(bytes: usize) -> io::Result<String> {
    let mut bytes = vec![0; bytes];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_gives_another_value_of_the_wanted_length() {
        let [first, second] = [(); 2].map(|()| random_hex(24).unwrap());
        assert!(first.len() == 48 && first != second);
    }
}
