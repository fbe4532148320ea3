//! The PBS job that runs `bocr run` on a cluster: what it asks for, its script, its way through the queue.

mod select;

pub use select::Select;
