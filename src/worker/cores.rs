//! The rank's share of the processor cores of its node.

use std::num::NonZero;

/// The rank's share of the cores that its process may use. Warns if those are fewer than PBS has assigned.
pub(super) fn of_rank(local_size: u32) -> usize {
    let available = std::thread::available_parallelism().map_or(1, NonZero::get);
    if let Some(warning) = binding_warning(available, std::env::var("NCPUS").ok().as_deref()) {
        tracing::warn!("{warning}");
    }
    part(available, local_size)
}

fn part(available: usize, local_size: u32) -> usize {
    (available / local_size.max(1) as usize).max(1)
}

/// mpirun binds a rank, and every process that the rank starts, to a core or a socket unless it gets an option not to
/// (`docs/facts/mpi.md`, "Binding").
fn binding_warning(available: usize, ncpus: Option<&str>) -> Option<String> {
    let given: usize = ncpus?.parse().ok()?;
    (available < given).then(|| {
        format!(
            "this rank and its server may use only {available} cores, but PBS has assigned {given}: start mpirun with \
             --bind-to none, as scripts/launch does"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranks_of_a_node_share_its_cores() {
        assert_eq!([part(160, 8), part(20, 1), part(2, 4), part(7, 2)], [20, 20, 1, 3]);
    }

    #[test]
    fn a_rank_that_is_bound_to_fewer_cores_than_the_job_has_says_so() {
        assert!(binding_warning(1, Some("20")).unwrap().contains("--bind-to none"));
        assert_eq!(
            [
                binding_warning(20, Some("20")),
                binding_warning(160, Some("20")),
                binding_warning(1, None),
                binding_warning(1, Some("all"))
            ],
            [const { None }; 4]
        );
    }
}
