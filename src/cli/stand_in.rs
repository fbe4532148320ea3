//! `bocr stand-in`: the stand-in server.

use std::{
    ffi::OsString, io::IsTerminal as _, num::NonZeroU32, path::PathBuf, thread::available_parallelism, time::Duration,
};

use clap::ValueEnum;

use gpu_model::GpuModel;

use crate::{
    standin::{
        self, AnswerLengths, Dialect, Grammar, ListenAddress, Mode, Options, Release, SleepMode, StandInError,
        TimeScale,
    },
    sys::{ExitCode, write_stderr},
};

/// How it answers a request with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Reads the image with Tesseract (fra, ara)
    Tesseract,
    /// Writes a synthetic answer, at the speed of a modelled GPU
    Synthetic,
}

/// The stand-in server.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("listen").required(true).args(["port", "uds"])))]
pub struct Arguments {
    /// Dialect of its answers
    #[arg(long, value_enum, value_name = "DIALECT")]
    speak: Dialect,
    /// Release of vLLM whose API it has
    #[arg(long, value_enum, value_name = "VERSION", default_value = "0.32.0")]
    vllm_version: Release,
    /// How it answers a request with an image
    #[arg(long, value_enum)]
    mode: ModeName,
    /// TCP port; with 0 the system chooses a free one, which is printed
    #[arg(long)]
    port: Option<u16>,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", conflicts_with = "uds")]
    host: String,
    /// Unix socket, instead of a port
    #[arg(long, value_name = "PATH")]
    uds: Option<PathBuf>,
    /// Name of the model [default: chandra; deepseek-ocr for grounding]
    #[arg(long, value_name = "NAME")]
    served_name: Option<String>,
    /// Boxes run from 0 to this number; 1024 for divs writes them as Chandra 1 does [default: divs 1000, grounding 999,
    /// doctags 500, layout-json pixels of the image]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    box_scale: Option<u16>,
    /// Begin Markdown with front matter, as olmOCR does
    #[arg(long)]
    front_matter: bool,
    /// Context: most tokens of prompt and answer together [default: 18000, grounding 8192]
    #[arg(long, value_name = "TOKENS")]
    max_model_len: Option<NonZeroU32>,
    /// Requests that run at once; the others wait [default: the number of cores, synthetic 128]
    #[arg(long, value_name = "N")]
    max_num_seqs: Option<NonZeroU32>,
    /// Tokens in a chunk of a stream; a real server sends one
    #[arg(long, value_name = "TOKENS", default_value = "1")]
    chunk_tokens: NonZeroU32,
    /// Fault script (TOML)
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Key that requests below /v1 must have; safer in the environment, because command lines are visible to other
    /// users
    #[arg(long, value_name = "KEY", env = "VLLM_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// Enable sleep mode, if VLLM_SERVER_DEV_MODE=1 is in the environment too, as for vLLM
    #[arg(long)]
    enable_sleep_mode: bool,
    /// Seconds that it takes to fall asleep
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = not_negative, requires = "enable_sleep_mode")]
    sleep_time: f64,
    /// Seconds that it takes to wake up
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = not_negative, requires = "enable_sleep_mode")]
    wake_time: f64,
    #[command(flatten)]
    tesseract: TesseractArguments,
    #[command(flatten)]
    synthetic: SyntheticArguments,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Mode tesseract")]
struct TesseractArguments {
    /// Name or path of the program
    #[arg(long = "tesseract", value_name = "PROGRAM", default_value = "tesseract")]
    program: OsString,
    /// Longest time to read one page, seconds
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = positive)]
    time_limit: f64,
    /// Resolution of images whose file has none, dots per inch
    #[arg(long, default_value = "192", value_parser = positive)]
    dpi: f64,
    /// Speed of a loop that the fault script makes, tokens a second
    #[arg(long, value_name = "TOKENS", default_value = "400", value_parser = positive)]
    token_rate: f64,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Mode synthetic")]
struct SyntheticArguments {
    /// Seed of the synthetic answers
    #[arg(long, default_value = "0")]
    seed: u64,
    /// Factor on modelled time; with 0 the answers come at once
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = not_negative)]
    time_scale: f64,
    /// After this many seconds every step takes this many times as long
    #[arg(long, value_name = "SECONDS:FACTOR", value_parser = seconds_and_factor)]
    slow_after: Option<(Duration, f64)>,
    /// Median length of answers, tokens
    #[arg(long, value_name = "TOKENS", default_value_t = AnswerLengths::default().median, value_parser = positive)]
    answer_median: f64,
    /// Standard deviation of the logarithm of the length
    #[arg(long, value_name = "SIGMA", default_value_t = AnswerLengths::default().sigma, value_parser = not_negative)]
    answer_sigma: f64,
    /// Shortest step of the GPU that decodes, microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = GpuModel::default().floor.as_micros() as u64)]
    step_floor: u64,
    /// Time of a step for each sequence that decodes in it, microseconds
    #[arg(long, value_name = "MICROSECONDS", default_value_t = GpuModel::default().per_sequence.as_micros() as u64)]
    step_per_sequence: u64,
    /// Image encoding and prefill, microseconds for each prompt token
    #[arg(long, value_name = "MICROSECONDS", default_value_t = GpuModel::default().per_prompt_token.as_micros() as u64)]
    step_per_prompt_token: u64,
    /// Tokens that fit in the KV cache
    #[arg(long, value_name = "TOKENS", default_value_t = GpuModel::default().kv_tokens)]
    kv_tokens: u64,
    /// Most tokens of one step
    #[arg(long, value_name = "TOKENS", default_value_t = GpuModel::default().max_batched_tokens)]
    max_num_batched_tokens: u32,
}

fn positive(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value > 0.0 { Ok(value) } else { Err("must be above 0".into()) })
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value >= 0.0 { Ok(value) } else { Err("must not be below 0".into()) })
}

fn seconds_and_factor(text: &str) -> Result<(Duration, f64), String> {
    let (seconds, factor) = text.split_once(':').ok_or("is not SECONDS:FACTOR")?;
    let seconds = Duration::try_from_secs_f64(not_negative(seconds)?).map_err(|error| error.to_string())?;
    Ok((seconds, positive(factor)?))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|value: &f64| value.is_finite()).ok_or_else(|| "is not a number".into())
}
/// Serves until a signal.
///
/// # Errors
/// Tesseract or a language is missing, or the address cannot be listened on.
pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // A log that was set up before is kept.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .try_init();
    match standin::run(arguments.options()) {
        Ok(()) => Ok(ExitCode::Success),
        Err(error @ StandInError::Faults(_)) => {
            write_stderr(&format!("bocr: {error}\n"));
            Ok(ExitCode::WrongUsage)
        }
        Err(error) => Err(error.into()),
    }
}

impl Arguments {
    fn options(&self) -> Options {
        let (name, max_model_len) = match self.speak {
            Dialect::Grounding => ("deepseek-ocr", 8192),
            Dialect::Divs | Dialect::LayoutJson | Dialect::Markdown | Dialect::Doctags => ("chandra", 18_000),
        };
        let max_num_seqs = self.max_num_seqs.map_or_else(
            || match self.mode {
                ModeName::Tesseract => available_parallelism().map_or(1, |cores| cores.get() as u32),
                ModeName::Synthetic => GpuModel::default().max_num_seqs as u32,
            },
            NonZeroU32::get,
        );
        Options {
            grammar: Grammar { dialect: self.speak, box_scale: self.box_scale, front_matter: self.front_matter },
            release: self.vllm_version,
            listen: match (&self.uds, self.port) {
                (Some(path), _) => ListenAddress::Unix(path.clone()),
                (None, port) => ListenAddress::Tcp(self.host.clone(), port.unwrap_or_default()),
            },
            served_name: self.served_name.clone().unwrap_or_else(|| name.into()),
            max_model_len: self.max_model_len.unwrap_or(NonZeroU32::MIN.saturating_add(max_model_len - 1)),
            max_num_seqs: NonZeroU32::new(max_num_seqs).unwrap_or(NonZeroU32::MIN),
            chunk_tokens: self.chunk_tokens,
            token_rate: self.tesseract.token_rate,
            faults: self.faults.clone(),
            // An empty variable means no key, as for vLLM.
            api_key: self.api_key.clone().filter(|key| !key.is_empty()),
            sleep: self.sleep(),
            mode: self.mode(max_num_seqs as usize),
        }
    }

    fn sleep(&self) -> Option<SleepMode> {
        let open = std::env::var("VLLM_SERVER_DEV_MODE").is_ok_and(|value| value == "1");
        (self.enable_sleep_mode && open).then(|| SleepMode {
            fall_asleep: Duration::from_secs_f64(self.sleep_time),
            wake_up: Duration::from_secs_f64(self.wake_time),
        })
    }

    fn mode(&self, max_num_seqs: usize) -> Mode {
        let (tesseract, synthetic) = (&self.tesseract, &self.synthetic);
        match self.mode {
            ModeName::Tesseract => Mode::Tesseract {
                program: tesseract.program.clone(),
                time_limit: Duration::from_secs_f64(tesseract.time_limit),
                dpi: tesseract.dpi as f32,
            },
            ModeName::Synthetic => Mode::Synthetic {
                gpu: GpuModel {
                    floor: Duration::from_micros(synthetic.step_floor),
                    per_sequence: Duration::from_micros(synthetic.step_per_sequence),
                    per_prompt_token: Duration::from_micros(synthetic.step_per_prompt_token),
                    max_num_seqs,
                    max_batched_tokens: synthetic.max_num_batched_tokens,
                    kv_tokens: synthetic.kv_tokens,
                },
                time_scale: TimeScale { factor: synthetic.time_scale, slow_after: synthetic.slow_after },
                lengths: AnswerLengths { median: synthetic.answer_median, sigma: synthetic.answer_sigma },
                seed: synthetic.seed,
            },
        }
    }
}
