//! A fault as it strikes.

/// A fault that strikes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected<F> {
    /// The word of its kind, as in the script.
    pub word: &'static str,
    /// What goes wrong.
    pub fault: F,
}
