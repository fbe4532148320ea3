//! Faults of requests to sleep and to wake up.

use super::injected::Injected;

/// A fault of a request to sleep or to wake up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SleepFault {
    /// HTTP 500 to `/sleep`, and the server stays awake.
    SleepFails,
    /// HTTP 500 to `/wake_up`, and the server stays asleep.
    WakeFails,
    /// `/wake_up` is never answered.
    WakeHangs,
}

/// One entry of the script, with the number of times that it may still be injected.
#[derive(Debug)]
pub(super) struct OrderRule {
    pub(super) left: Option<u32>,
    pub(super) injected: Injected<SleepFault>,
}

/// The fault of a request to sleep, or else to wake up, if any.
pub(super) fn next_order(rules: &mut [OrderRule], sleep: bool) -> Option<Injected<SleepFault>> {
    let strikes =
        |rule: &&mut OrderRule| rule.left != Some(0) && sleep == (rule.injected.fault == SleepFault::SleepFails);
    let rule = rules.iter_mut().find(strikes)?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.injected.clone())
}
