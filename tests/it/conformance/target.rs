//! The server that is held against what the client expects: a real vLLM that `scripts/conformance` has started, or the
//! stand-in as each release.

use std::{fmt, time::Duration};

use bulletin_ocr::{
    engine::{Client, EngineRequest, EngineResponse, Limits, Profile, ServerAddress},
    model::{Capabilities, PixelSize, Sampling},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::standin_common::{self, Server};

pub const CONTEXT: u32 = 8192;

const LIMITS: Limits = Limits {
    first_token: Duration::from_secs(120),
    token_gap: Duration::from_secs(60),
    total: Duration::from_secs(180),
};

/// What the stand-in does with pages of these names; a real server needs no telling.
const SCRIPT: &str = "\
    [[fault]]\npage = \"slow\"\nkind = \"stall\"\nafter_tokens = 5\n\
    [[fault]]\npage = \"killer\"\nkind = \"death\"\nafter_tokens = 5\n\
    [[fault]]\npage = \"repetition\"\nkind = \"loop\"\nafter_tokens = 0\nphrase = \"bulletin \"\n";

/// A release of vLLM that was listened to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Old,
    New,
}

impl Release {
    pub fn name(self) -> &'static str {
        match self {
            Release::Old => "0.11.2",
            Release::New => "0.32.0",
        }
    }

    /// The one of the two of these.
    pub fn pick<T>(self, old: T, new: T) -> T {
        match self {
            Release::Old => old,
            Release::New => new,
        }
    }
}

/// A tiny model of `scripts/conformance`, by the name that it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    Chandra,
    DeepSeek,
    Surya,
    Olmocr,
}

impl Model {
    pub const ALL: [Model; 4] = [Model::Chandra, Model::DeepSeek, Model::Surya, Model::Olmocr];

    pub fn name(self) -> &'static str {
        match self {
            Model::Chandra => "chandra",
            Model::DeepSeek => "deepseek",
            Model::Surya => "surya",
            Model::Olmocr => "olmocr",
        }
    }

    /// The built-in profile that it stands for.
    pub fn profile(self) -> &'static str {
        match self {
            Model::Chandra => "chandra",
            Model::DeepSeek => "deepseek-ocr",
            Model::Surya => "surya-2",
            Model::Olmocr => "olmocr-2",
        }
    }
}

/// How its engine is killed.
enum Killer {
    /// By SIGKILL, as a child of this process.
    Signal(Pid),
    /// By its fault script.
    Script,
}

pub struct Target {
    pub release: Release,
    pub model: Model,
    /// The profile that the server is started for, but with sampling at which the tiny models write words.
    pub profile: Profile,
    pub client: Client,
    /// One whose answers do not end by themselves before their budget does; a real server is told so by the request.
    pub endless: Client,
    pub url: String,
    killer: Killer,
    /// The stand-ins, and their fault script.
    _stand_ins: Option<(Server, Server, tempfile::NamedTempFile)>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_real() { "vLLM" } else { "the stand-in as" };
        write!(f, "{what} {} with {}", self.release.name(), self.profile.model)
    }
}

fn profile(model: Model) -> Profile {
    let mut profile = Profile::load(model.profile(), None).unwrap();
    profile.sampling = vec![Sampling { temperature: 1.0, top_p: 1.0 }];
    profile
}

impl Target {
    /// The server that the environment names.
    pub fn real() -> Target {
        let variable =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is set by scripts/conformance"));
        let url = variable("BOCR_CONFORMANCE_URL");
        let named = variable("BOCR_CONFORMANCE_MODEL");
        let model = Model::ALL.into_iter().find(|model| model.name() == named).expect("a tiny model");
        let release = match variable("BOCR_CONFORMANCE_VERSION").as_str() {
            "0.11.2" => Release::Old,
            "0.32.0" => Release::New,
            other => panic!("{other} was never listened to"),
        };
        let process = Pid::from_raw(variable("BOCR_CONFORMANCE_PID").parse().unwrap()).unwrap();
        let client = Client::new(ServerAddress::Tcp(url.clone()), LIMITS, None).unwrap();
        let (endless, killer, profile) = (client.clone(), Killer::Signal(process), profile(model));
        Target { release, model, profile, client, endless, url, killer, _stand_ins: None }
    }

    /// The stand-in as a release.
    pub fn stand_in(release: Release, model: Model) -> Target {
        let profile = profile(model);
        let script = standin_common::script(SCRIPT);
        let (path, context) = (script.path().to_str().unwrap().to_owned(), CONTEXT.to_string());
        let scale = profile.dialect.box_scale().map(|scale| scale.to_string());
        let scale: Vec<&str> = scale.iter().flat_map(|scale| ["--box-scale", scale]).collect();
        let common = [
            "--speak",
            profile.dialect.name(),
            "--served-name",
            &profile.served_name,
            "--mode",
            "synthetic",
            "--time-scale",
            "0",
            "--vllm-version",
            release.name(),
            "--max-model-len",
            &context,
            "--faults",
            &path,
        ];
        let brief = Server::start(&[&common[..], &scale].concat());
        let long = Server::start(&[&common[..], &scale, &["--answer-median", "40000", "--answer-sigma", "0"]].concat());
        let client = |server: &Server| Client::new(server.address(), LIMITS, None).unwrap();
        Target {
            release,
            model,
            profile: profile.clone(),
            client: client(&brief),
            endless: client(&long),
            url: brief.url.clone(),
            killer: Killer::Script,
            _stand_ins: Some((brief, long, script)),
        }
    }

    /// A client whose traffic is its own.
    pub fn another_client(&self) -> Client {
        Client::new(ServerAddress::Tcp(self.url.clone()), LIMITS, None).unwrap()
    }

    pub fn is_real(&self) -> bool {
        matches!(self.killer, Killer::Signal(_))
    }

    /// What the server says at the handshake.
    pub async fn capabilities(&self) -> Capabilities {
        self.client.handshake(&self.profile).await.unwrap()
    }

    /// The profile, with more fields in its requests.
    pub fn profile_with(&self, fields: Value) -> Profile {
        let mut profile = self.profile.clone();
        profile.request.extend(fields.as_object().unwrap().clone());
        profile
    }

    /// Asks the question of a profile on a page.
    pub async fn ask(
        &self,
        client: &Client,
        profile: &Profile,
        page: &[u8],
        max_tokens: u32,
        id: &str,
    ) -> EngineResponse {
        let server = self.capabilities().await;
        client.ask(&EngineRequest::build(profile, &server, page, max_tokens, 0, id)).await
    }

    /// Kills the engine, with `client`'s answers in flight.
    pub async fn kill_engine(&self) {
        match self.killer {
            Killer::Signal(server) => {
                kill_process(engine_core(server.as_raw_nonzero().get()), Signal::KILL).unwrap();
            }
            Killer::Script => {
                self.ask(&self.client, &self.profile, &page(PAGE), 100, "killer").await;
            }
        }
    }
}

/// The engine's process: a child of the server's, which has named itself.
fn engine_core(server: i32) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
    let named = |pid: &&str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("VLLM::EngineCor"))
    };
    let pid = children.split_whitespace().find(named).unwrap_or_else(|| panic!("no engine among {children}"));
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}

/// A small page.
pub const PAGE: PixelSize = PixelSize { width: 320, height: 448 };

/// A page of this size, as PNG.
pub fn page(size: PixelSize) -> Vec<u8> {
    standin_common::blank(size.width, size.height)
}
