//! A rank whose engines serve one at a time: rank 0 says when it switches to the other.

use std::collections::BTreeMap;

use crate::{
    model::Engine,
    server::{DesiredState, DesiredStateSwitch, LifeWatch, Ready, Service},
};

/// Tells the servers of such a rank which of them serves; on any other rank, there are none.
#[derive(Debug, Default)]
pub(super) struct RoleSwitches {
    servers: BTreeMap<Engine, (DesiredStateSwitch, LifeWatch)>,
}

impl RoleSwitches {
    pub(super) fn add(&mut self, engine: Engine, service: &Service) {
        self.servers.insert(engine, (service.duty(), service.life()));
    }

    /// This engine serves from now on. Returns its server where that is ready already; else its service reports when it
    /// is.
    pub(super) fn switch_to(&self, engine: Engine) -> Option<Ready> {
        for (_, (duty, _)) in self.servers.iter().filter(|(other, _)| **other != engine) {
            duty.set(DesiredState::Rest);
        }
        let (duty, life) = self.servers.get(&engine)?;
        duty.set(DesiredState::Serve);
        life.ready()
    }
}
