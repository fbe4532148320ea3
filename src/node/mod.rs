//! What a node needs before a model server is launched on it: a GPU, the model's files on its disk, folders for what
//! the server compiles, and a start time, so that not all nodes start at once.
//!
//! | file | holds |
//! |---|---|
//! | `preparation` | all of it, for the servers of one rank |
//! | `gpu` | which GPU a rank gets |
//! | `nvidia` | the GPUs of the node, from `nvidia-smi` |
//! | `staging` | the model's files, copied to the node's disk once |
//! | `model_files` | where the files of a model are |
//! | `caches` | folders for what servers compile |
//! | `private_folder` | folders of this user that its runs share, and their locks |
//! | `command` | options of a launch command |

mod caches;
mod command;
mod gpu;
mod model_files;
mod nvidia;
mod preparation;
mod private_folder;
mod staging;

pub use command::option_value;
pub use gpu::{EarlierGpus, Gpu, GpuChoice, GpuError};
pub use model_files::ModelError;
pub(crate) use nvidia::gpu_kinds;
pub use preparation::{NodePreparation, Place};
pub use private_folder::{NodeFolderError, NotPrivate};
