//! How renderer children are run.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use crate::model::configuration::Imaging;

/// How renderer children are run.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// The program with the `render-child` subcommand: this one.
    pub program: PathBuf,
    /// libpdfium, see [`super::find_library`].
    pub pdfium: PathBuf,
    /// Number of children.
    pub children: NonZeroU32,
    /// A request that takes longer costs its child and fails.
    pub page_limit: Duration,
    /// Address space of a child, in bytes.
    pub child_memory: u64,
    /// A child is replaced after this many answers, whatever it has leaked.
    pub answers_per_child: NonZeroU32,
}

impl PoolSettings {
    /// A pool of this program's own children, with libpdfium at `pdfium` and the limits of the configuration, for a rank
    /// that has so many cores.
    pub fn new(program: PathBuf, pdfium: PathBuf, imaging: &Imaging, cores: usize) -> Self {
        PoolSettings {
            program,
            pdfium,
            children: Self::children(imaging, cores),
            page_limit: imaging.page_limit,
            child_memory: imaging.child_memory.as_u64(),
            answers_per_child: Self::ANSWERS_PER_CHILD,
        }
    }

    /// The children of a rank that has so many cores: one for each five, since the others are its server's.
    pub fn children(imaging: &Imaging, cores: usize) -> NonZeroU32 {
        const MOST: usize = 4;
        let share = NonZeroU32::new((cores / 5).clamp(1, MOST) as u32).unwrap_or(NonZeroU32::MIN);
        imaging.children.unwrap_or(share)
    }

    /// A child costs 10 ms to replace, so that this is no time at all.
    pub const ANSWERS_PER_CHILD: NonZeroU32 = NonZeroU32::MIN.saturating_add(1999);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_with_more_cores_has_more_children() {
        let children = [0, 1, 9, 10, 20, 64].map(|cores| PoolSettings::children(&Imaging::default(), cores).get());
        assert_eq!(children, [1, 1, 1, 2, 4, 4]);
    }
}
