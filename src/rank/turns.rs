//! A rank whose engines serve one at a time: rank 0 says when it turns to the other.

use std::{collections::BTreeMap, sync::mpsc::Sender};

use crate::{
    model::Engine,
    server::{Duty, DutySwitch, LifeWatch, Service},
};

use super::context::LocalEvent;

/// What tells the services of such a rank whose turn it is; of any other, none.
pub(super) struct TurnSwitches {
    services: BTreeMap<Engine, (DutySwitch, LifeWatch)>,
    events: Sender<LocalEvent>,
}

impl TurnSwitches {
    pub(super) fn new(events: Sender<LocalEvent>) -> TurnSwitches {
        TurnSwitches { services: BTreeMap::new(), events }
    }

    pub(super) fn add(&mut self, engine: Engine, service: &Service) {
        self.services.insert(engine, (service.duty(), service.life()));
    }

    /// This engine serves from now on. [`LocalEvent::EngineReady`] follows when it does, also where it already did.
    pub(super) fn turn_to(&self, engine: Engine) {
        for (_, (duty, _)) in self.services.iter().filter(|(other, _)| **other != engine) {
            duty.set(Duty::Rest);
        }
        let Some((duty, life)) = self.services.get(&engine) else { return };
        duty.set(Duty::Serve);
        if let Some(ready) = life.ready() {
            let _ = self.events.send(LocalEvent::EngineReady(engine, Box::new(ready.reader.server().clone())));
        }
    }
}
