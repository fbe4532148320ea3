//! What one stand-in is told and what its requests share.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use crate::{
    gpu_model::GpuModel,
    model::{Engine, ServerKind},
};

use super::{
    dialect::{BoxScale, Dialect},
    faults::{FaultScript, FaultScriptError, condition::EngineCondition},
    http::{
        metrics::Metrics,
        release::Release,
        request::ServedModel,
        sleep::{Sleep, SleepMode},
        socket::ListenAddress,
    },
    synthetic::{
        answers::AnswerLengths,
        gpu_driver::{Gpu, TimeScale},
    },
    tesseract::process::{Tesseract, TesseractError},
};

/// Everything a stand-in can be told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The engine whose dialect and rules it speaks.
    pub engine: Engine,
    /// The release of vLLM as which it speaks.
    pub release: Release,
    /// Where it listens.
    pub listen: ListenAddress,
    /// Name of its model.
    pub served_name: String,
    /// Boxes of Chandra's dialect.
    pub box_scale: BoxScale,
    /// Prompt and answer together, in tokens.
    pub max_model_len: NonZeroU32,
    /// Most requests that run at once; the others wait.
    pub max_num_seqs: NonZeroU32,
    /// Tokens of a chunk of a stream. A real server sends one.
    pub chunk_tokens: NonZeroU32,
    /// Tokens a second of a loop where no GPU is modelled.
    pub token_rate: f64,
    /// Fault script.
    pub faults: Option<PathBuf>,
    /// Key that requests below `/v1` must carry.
    pub api_key: Option<String>,
    /// Sleep mode, where it has it.
    pub sleep: Option<SleepMode>,
    /// What it does with an image.
    pub mode: Mode,
}

/// What a stand-in does with an image, and the settings of that.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Reads it.
    Tesseract {
        /// Name or path of the program.
        program: OsString,
        /// Longest reading of one image.
        time_limit: Duration,
        /// Resolution of images that do not say theirs.
        dpi: f32,
    },
    /// Invents an answer.
    Synthetic {
        /// The modelled GPU.
        gpu: GpuModel,
        /// Modelled time against real time.
        time_scale: TimeScale,
        /// Lengths of answers.
        lengths: AnswerLengths,
        /// Changes all answers.
        seed: u64,
    },
}

impl Mode {
    /// The kind of server that records and reports name.
    pub fn kind(&self) -> ServerKind {
        match self {
            Mode::Tesseract { .. } => ServerKind::StandInTesseract,
            Mode::Synthetic { .. } => ServerKind::StandInSynthetic,
        }
    }
}

/// Why a stand-in does not serve.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// The fault script is wrong.
    #[error(transparent)]
    Faults(#[from] FaultScriptError),
    /// Tesseract or a language is missing.
    #[error(transparent)]
    Tesseract(#[from] TesseractError),
    /// It cannot listen.
    #[error("cannot listen on {address:?}: {source}")]
    Bind {
        /// Where.
        address: ListenAddress,
        /// What the system said.
        source: std::io::Error,
    },
    /// Signals or the runtime cannot be set up.
    #[error("cannot set up the server: {0}")]
    Setup(#[from] std::io::Error),
}

/// How pages are read, with what the requests share for it.
#[derive(Debug)]
pub enum Reader {
    /// By Tesseract.
    Tesseract {
        /// The program.
        tesseract: Tesseract,
        /// One place for each page read at once.
        places: Arc<Semaphore>,
        /// Resolution of images that do not say theirs.
        dpi: f32,
    },
    /// By invention.
    Synthetic {
        /// Makes the tokens.
        gpu: Gpu,
        /// Lengths of answers.
        lengths: AnswerLengths,
        /// Changes all answers.
        seed: u64,
    },
}

/// What the requests of one stand-in share.
#[derive(Debug)]
pub struct StandIn {
    /// What it was told.
    pub options: Options,
    /// What requests are checked against.
    pub model: ServedModel,
    /// The grammar of answers.
    pub dialect: Dialect,
    /// How pages are read.
    pub reader: Reader,
    /// The fault script.
    pub faults: FaultScript,
    /// Whether the engine lives.
    pub condition: EngineCondition,
    /// Whether it sleeps.
    pub sleep: Sleep,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl StandIn {
    /// Gets ready to serve: reads the fault script, finds Tesseract, starts the modelled GPU.
    ///
    /// # Errors
    /// A wrong fault script, a missing program or language.
    pub async fn prepare(options: Options) -> Result<Self, StandInError> {
        let faults = match &options.faults {
            Some(path) => FaultScript::load(path, options.engine)?,
            None => FaultScript::default(),
        };
        let metrics = Metrics::new(&options.served_name, options.release);
        let reader = match &options.mode {
            Mode::Tesseract { program, time_limit, dpi } => {
                let tesseract = Tesseract { program: program.clone(), time_limit: *time_limit };
                tesseract.check().await?;
                let places = Arc::new(Semaphore::new(options.max_num_seqs.get() as usize));
                Reader::Tesseract { tesseract, places, dpi: *dpi }
            }
            Mode::Synthetic { gpu, time_scale, lengths, seed } => {
                let gpu = Gpu::start(*gpu, *time_scale, Arc::clone(&metrics));
                Reader::Synthetic { gpu, lengths: *lengths, seed: *seed }
            }
        };
        Ok(StandIn {
            model: ServedModel {
                engine: options.engine,
                release: options.release,
                name: options.served_name.clone(),
                max_model_len: options.max_model_len.get(),
            },
            dialect: Dialect::of(options.engine, options.box_scale),
            reader,
            faults,
            condition: EngineCondition::healthy(),
            sleep: Sleep::awake(),
            metrics,
            options,
        })
    }

    /// Which stand-in this is.
    pub fn kind(&self) -> ServerKind {
        self.options.mode.kind()
    }
}
