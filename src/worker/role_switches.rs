//! Role switches on a rank whose engines serve one at a time. Rank 0 orders them.

use std::collections::BTreeMap;

use crate::{
    model::Engine,
    server::{DesiredState, DesiredStateSwitch, LifeWatch, Ready, Service},
};

/// Sets which server of such a rank serves. Empty on any other rank.
#[derive(Debug, Default)]
pub(super) struct RoleSwitches {
    servers: BTreeMap<Engine, (DesiredStateSwitch, LifeWatch)>,
}

impl RoleSwitches {
    pub(super) fn add(&mut self, engine: Engine, service: &Service) {
        self.servers.insert(engine, (service.desired_state(), service.life()));
    }

    /// Makes this engine the one that serves. Returns its server if it is ready already; otherwise its service reports
    /// when it is.
    pub(super) fn switch_to(&self, engine: Engine) -> Option<Ready> {
        for (_, (desired, _)) in self.servers.iter().filter(|(other, _)| **other != engine) {
            desired.set(DesiredState::Rest);
        }
        let (desired, life) = self.servers.get(&engine)?;
        desired.set(DesiredState::Serve);
        life.ready()
    }
}
