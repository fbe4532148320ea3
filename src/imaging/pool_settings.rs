//! The settings of the pool of renderer children.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use crate::model::configuration::Imaging;

/// The settings of the pool of renderer children.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Path of this program, which has the `render-child` subcommand.
    pub program: PathBuf,
    /// Path of libpdfium, see [`super::find_library`].
    pub pdfium: PathBuf,
    /// Number of children.
    pub children: NonZeroU32,
    /// Time limit of a request. If it takes longer, the child is killed and the request fails.
    pub page_limit: Duration,
    /// Limit of the address space of a child in bytes.
    pub child_memory: u64,
    /// A child is replaced after this many answers, which bounds its memory leaks.
    pub answers_per_child: NonZeroU32,
}

impl PoolSettings {
    /// The settings for a rank with `cores` cores: this `program`, libpdfium at `pdfium`, and the limits of the
    /// configuration.
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

    /// The number of children of a rank with `cores` cores: one for each five cores and at most four, because the
    /// rank's server needs the other cores. The configuration may give another number.
    pub fn children(imaging: &Imaging, cores: usize) -> NonZeroU32 {
        const MOST: usize = 4;
        let share = NonZeroU32::new((cores / 5).clamp(1, MOST) as u32).unwrap_or(NonZeroU32::MIN);
        imaging.children.unwrap_or(share)
    }

    /// To replace a child takes 10 ms, which is negligible after this many answers.
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
