//! The options of a stand-in, and the state that its requests share.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::Semaphore;

use gpu_model::GpuModel;

use crate::{
    model::ServerKind,
    tesseract::{Tesseract, TesseractError},
};

use super::{
    dialect::Grammar,
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
};

/// The options of a stand-in.
#[derive(Debug, Clone)]
pub struct Options {
    /// The grammar of its answers; its dialect's rules for requests apply, too.
    pub grammar: Grammar,
    /// The release of vLLM whose API it has.
    pub release: Release,
    /// Address at which it listens.
    pub listen: ListenAddress,
    /// Served name of its model.
    pub served_name: String,
    /// Context: most tokens of prompt and answer together.
    pub max_model_len: NonZeroU32,
    /// Most requests that run at once; the others wait.
    pub max_num_seqs: NonZeroU32,
    /// Tokens in one chunk of a stream. A real server sends one.
    pub chunk_tokens: NonZeroU32,
    /// Speed of a loop where no GPU is modelled, tokens a second.
    pub token_rate: f64,
    /// File of the fault script.
    pub faults: Option<PathBuf>,
    /// Key that requests below `/v1` must carry.
    pub api_key: Option<String>,
    /// Sleep mode; `None` for a server without it.
    pub sleep: Option<SleepMode>,
    /// How it answers a request with an image.
    pub mode: Mode,
}

/// How a stand-in answers a request with an image, and the settings for it.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Reads the image with Tesseract.
    Tesseract {
        /// Name or path of the program.
        program: OsString,
        /// Longest time for one image.
        time_limit: Duration,
        /// Resolution of images whose file has none, dots per inch.
        dpi: f32,
    },
    /// Writes a synthetic answer.
    Synthetic {
        /// The modelled GPU.
        gpu: GpuModel,
        /// Ratio of real time to modelled time.
        time_scale: TimeScale,
        /// Lengths of answers.
        lengths: AnswerLengths,
        /// Seed: another one changes all answers.
        seed: u64,
    },
}

impl Mode {
    /// The kind of server, as records and reports name it.
    pub fn kind(&self) -> ServerKind {
        match self {
            Mode::Tesseract { .. } => ServerKind::StandInTesseract,
            Mode::Synthetic { .. } => ServerKind::StandInSynthetic,
        }
    }
}

/// Why a stand-in does not serve.
#[allow(missing_docs, reason = "the message of a variant says what its fields are")]
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// The fault script is wrong.
    #[error(transparent)]
    Faults(#[from] FaultScriptError),
    /// Tesseract or a language is missing.
    #[error(transparent)]
    Tesseract(#[from] TesseractError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind { address: ListenAddress, source: std::io::Error },
    /// Signals or the runtime cannot be set up.
    #[error("cannot set up the server: {0}")]
    Setup(#[from] std::io::Error),
}

/// How images are answered, with the resources that requests share.
#[derive(Debug)]
pub enum Reader {
    /// By reading them with Tesseract.
    Tesseract {
        /// Program and time limit.
        tesseract: Tesseract,
        /// One permit for each page that is read at the same time.
        places: Arc<Semaphore>,
        /// Resolution of images whose file has none, dots per inch.
        dpi: f32,
    },
    /// By synthetic answers.
    Synthetic {
        /// The modelled GPU, which sets the speed of tokens.
        gpu: Gpu,
        /// Lengths of answers.
        lengths: AnswerLengths,
        /// Seed: another one changes all answers.
        seed: u64,
    },
}

/// The state that the requests of one stand-in share.
#[derive(Debug)]
pub struct StandIn {
    /// The options that it was started with.
    pub options: Options,
    /// The model that requests are checked against.
    pub model: ServedModel,
    /// How pages are read.
    pub reader: Reader,
    /// The fault script.
    pub faults: FaultScript,
    /// Whether the engine lives, hangs or is dead.
    pub condition: EngineCondition,
    /// Whether the server sleeps.
    pub sleep: Sleep,
    /// Counters of `/metrics`.
    pub metrics: Arc<Metrics>,
}

impl StandIn {
    /// Prepares to serve: reads the fault script, finds Tesseract, starts the modelled GPU.
    ///
    /// # Errors
    /// The fault script is wrong, or the program or a language is missing.
    pub async fn prepare(options: Options) -> Result<Self, StandInError> {
        let faults = match &options.faults {
            Some(path) => FaultScript::load(path, options.grammar.dialect)?,
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
                dialect: options.grammar.dialect,
                release: options.release,
                name: options.served_name.clone(),
                max_model_len: options.max_model_len.get(),
            },
            reader,
            faults,
            condition: EngineCondition::healthy(),
            sleep: Sleep::awake(),
            metrics,
            options,
        })
    }

    /// The kind of this stand-in.
    pub fn kind(&self) -> ServerKind {
        self.options.mode.kind()
    }
}
