//! The resources that a job asks PBS for.

use std::{fmt, num::NonZeroU32};

use bytesize::ByteSize;

/// The chunks of a job, one on each node. Displayed as PBS reads them: `4:ncpus=20:mem=180gb:ngpus=1:mpiprocs=1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Select {
    /// Number of nodes, or of shares of nodes where several jobs may use one node.
    pub nodes: NonZeroU32,
    /// Processor cores of each node.
    pub cores: NonZeroU32,
    /// Memory of each node; without it PBS gives the site's default.
    pub memory: Option<ByteSize>,
    /// GPUs of each node.
    pub gpus: u32,
    /// Ranks of each node, one for each GPU.
    pub ranks: NonZeroU32,
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:ncpus={}", self.nodes, self.cores)?;
        if let Some(memory) = self.memory {
            // The units of PBS are powers of 1024.
            match memory.as_u64() {
                bytes if bytes % bytesize::GIB == 0 => write!(f, ":mem={}gb", bytes / bytesize::GIB)?,
                bytes => write!(f, ":mem={}mb", bytes.div_ceil(bytesize::MIB))?,
            }
        }
        if self.gpus > 0 {
            write!(f, ":ngpus={}", self.gpus)?;
        }
        write!(f, ":mpiprocs={}", self.ranks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_said_as_pbs_reads_them() {
        let number = |number| NonZeroU32::new(number).unwrap();
        let select =
            Select { nodes: number(4), cores: number(20), memory: Some(ByteSize::gib(180)), gpus: 2, ranks: number(2) };
        assert_eq!(select.to_string(), "4:ncpus=20:mem=180gb:ngpus=2:mpiprocs=2");
        let small = Select { memory: Some(ByteSize::mib(1500)), gpus: 0, ..select };
        assert_eq!(small.to_string(), "4:ncpus=20:mem=1500mb:mpiprocs=2");
        assert_eq!(Select { memory: None, ..small }.to_string(), "4:ncpus=20:mpiprocs=2");
    }
}
