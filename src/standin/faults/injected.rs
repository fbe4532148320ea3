//! A fault that is injected now.

/// A fault that is injected now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected<F> {
    /// Name of its kind, as in the script.
    pub word: &'static str,
    /// The fault.
    pub fault: F,
}
