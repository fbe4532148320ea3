//! Faults of orders to sleep and to wake up.

use super::injected::Injected;

/// What goes wrong with an order by the fault script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SleepFault {
    /// HTTP 500 to `/sleep`, and it stays awake.
    SleepFails,
    /// HTTP 500 to `/wake_up`, and it sleeps on.
    WakeFails,
    /// `/wake_up` is never answered.
    WakeHangs,
}

/// One entry of the script, and how often it may still be injected.
#[derive(Debug)]
pub(super) struct OrderRule {
    pub(super) left: Option<u32>,
    pub(super) injected: Injected<SleepFault>,
}

/// What goes wrong with an order to sleep, or else to wake up.
pub(super) fn next_order(rules: &mut [OrderRule], sleep: bool) -> Option<Injected<SleepFault>> {
    let strikes =
        |rule: &&mut OrderRule| rule.left != Some(0) && sleep == (rule.injected.fault == SleepFault::SleepFails);
    let rule = rules.iter_mut().find(strikes)?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.injected.clone())
}
