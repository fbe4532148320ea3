//! The HTTP client of one server: no TLS, no proxy, no hidden retry of a page.

mod canary;
pub(super) mod capabilities;
pub(super) mod classify;
pub(super) mod events;
pub(super) mod health;
pub(super) mod limits;
pub(super) mod metrics;
pub(super) mod request;
pub(super) mod sleep;
pub(super) mod stream;
pub(super) mod traffic;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::Duration,
};

use reqwest::{RequestBuilder, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tokio::{sync::Mutex, time::Instant};

use crate::model::{Capabilities, ServerKind, error::chain};

use limits::Limits;
use traffic::Traffic;

use super::{End, EngineError, EngineRequest, EngineResponse, Profile};

/// Servers close connections that are idle for 5 s (`docs/facts/vllm.md`, "Connections"); the client closes them first.
const IDLE_LIMIT: Duration = Duration::from_secs(3);

/// Longest wait for a connection. A server on the same node accepts at once or not at all.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Longest wait for an answer to a small request. A healthy server that decodes images took 4.2 s to answer `/health`.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(20);

/// Longest wait for the first token of a server that has just started and has not yet warmed up its kernels.
const CANARY_LIMIT: Duration = Duration::from_secs(120);

const COMPLETIONS: &str = "/v1/chat/completions";

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// Base URL such as `http://127.0.0.1:8000`, without a path.
    Tcp(String),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Tcp(url) => f.write_str(url),
            ServerAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A connection pool to one server. Clones share it, and its traffic counters.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    address: ServerAddress,
    pub(super) base: String,
    limits: Limits,
    traffic: Arc<Traffic>,
    pub(super) hang_limit: Duration,
    /// When the last canary request was sent, and whether it was answered.
    pub(super) canary: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Client {
    /// A client for this server. `api_key` is the key that the server was started with, if any.
    ///
    /// # Errors
    /// The address is no `http` URL, or the key cannot stand in a header.
    pub fn new(address: ServerAddress, limits: Limits, api_key: Option<&str>) -> Result<Client, EngineError> {
        let refuse = |reason: String| EngineError::Address { address: address.to_string(), reason };
        let mut headers = header::HeaderMap::new();
        if let Some(key) = api_key {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| refuse("the API key has characters that no HTTP header can carry".into()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let builder = reqwest::Client::builder()
            .no_proxy()
            .http1_only()
            .retry(reqwest::retry::never())
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .pool_idle_timeout(IDLE_LIMIT)
            .connect_timeout(CONNECT_LIMIT)
            .default_headers(headers);
        let (builder, base) = match &address {
            ServerAddress::Tcp(url) => {
                let parsed = reqwest::Url::parse(url).map_err(|error| refuse(error.to_string()))?;
                if parsed.scheme() != "http" {
                    return Err(refuse("only http is supported, because the server is on the same node".into()));
                }
                (builder, url.trim_end_matches('/').trim_end_matches("/v1").to_string())
            }
            ServerAddress::Unix(path) => (builder.unix_socket(path.clone()), "http://localhost".into()),
        };
        let http = builder.build().map_err(|error| refuse(chain(&error)))?;
        let (traffic, canary) = (Arc::default(), Arc::default());
        Ok(Client { http, address, base, limits, traffic, hang_limit: CANARY_LIMIT, canary })
    }

    /// With this longest wait for the answer to a canary request.
    #[must_use]
    pub fn with_hang_limit(self, hang_limit: Duration) -> Client {
        Client { hang_limit, ..self }
    }

    /// The address at which the server listens.
    pub fn address(&self) -> &ServerAddress {
        &self.address
    }

    /// Counters of the tokens and requests of this client and its clones.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// A chat request with this body.
    pub(super) fn completions(&self, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.http.post(format!("{}{COMPLETIONS}", self.base));
        request.header(header::CONTENT_TYPE, "application/json").body(body)
    }

    /// Whether the server refuses a request without a key, as a server that was started with a key does.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn requires_key(&self) -> Result<bool, EngineError> {
        const PATH: &str = "/v1/models";
        let stranger = Client::new(self.address.clone(), self.limits, None)?;
        let request = stranger.http.get(format!("{}{PATH}", stranger.base)).timeout(PROBE_LIMIT);
        let response = request.send().await.map_err(|error| EngineError::Unreachable {
            address: self.address.to_string(),
            path: PATH,
            reason: chain(&error),
        })?;
        Ok(response.status() == StatusCode::UNAUTHORIZED)
    }

    /// Reads the server's version, model and metrics. Refuses a server that does not serve the profile's model, or is
    /// too old for it.
    ///
    /// # Errors
    /// The server does not answer, has another API, refuses the key, serves another model, or is too old.
    pub async fn handshake(&self, profile: &Profile) -> Result<Capabilities, EngineError> {
        let version: VersionReply = self.get("/version").await?;
        let models: Models = self.get("/v1/models").await?;
        let Some(model) = models.data.iter().find(|model| model.is_of(profile)) else {
            return Err(EngineError::WrongModel {
                address: self.address.to_string(),
                served: models.data.iter().map(ServedModel::describe).collect::<Vec<_>>().join(", "),
                profile: profile.name.clone(),
                wanted: profile.served_name.clone(),
                model: profile.model.clone(),
            });
        };
        let server = server_kind(&version.version, &model.owned_by);
        let context = model.max_model_len.unwrap_or(profile.context_length);
        let mut capabilities = Capabilities::new(&version.version, &model.id, context, server);
        let address = self.address.to_string();
        capabilities.check_version(profile, &address)?;
        capabilities.root.clone_from(&model.root);
        let asks = profile.request.get("vllm_xargs").is_some_and(|fields| fields.get("ngram_size").is_some());
        if asks && server == ServerKind::Model {
            capabilities.ngram_processor = Some(self.refuses_empty_ngrams(&model.id).await?);
        }
        capabilities.set_metrics(self.metrics().await);
        capabilities.warn_of_gaps(profile, &address);
        Ok(capabilities)
    }

    /// Whether the server has the n-gram processor. Without it, a server accepts and ignores its fields; with it, a
    /// size of 0 is refused with HTTP 400 (`docs/facts/deepseek.md`, "Serving with vLLM").
    async fn refuses_empty_ngrams(&self, model: &str) -> Result<bool, EngineError> {
        let body = json!({
            "messages": [{ "role": "user", "content": "." }],
            "model": model,
            "max_tokens": 1,
            "vllm_xargs": { "ngram_size": 0 },
        });
        let unreachable =
            |reason| EngineError::Unreachable { address: self.address.to_string(), path: COMPLETIONS, reason };
        let response = self.probe(CANARY_LIMIT, || self.completions(body.to_string())).await;
        let status = response.map_err(|error| unreachable(chain(&error)))?.status();
        if status.is_server_error() {
            return Err(unreachable(format!("HTTP {status}")));
        }
        Ok(status == StatusCode::BAD_REQUEST)
    }

    pub(super) async fn get<T: for<'de> Deserialize<'de>>(&self, path: &'static str) -> Result<T, EngineError> {
        let address = || self.address.to_string();
        let unreachable = |reason| EngineError::Unreachable { address: address(), path, reason };
        let response = self.probe(PROBE_LIMIT, || self.http.get(format!("{}{path}", self.base))).await;
        let response = response.map_err(|error| unreachable(chain(&error)))?;
        let status = response.status();
        // The server is still loading, or a proxy answers in its place.
        if status.is_server_error() {
            return Err(unreachable(format!("HTTP {status}")));
        }
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            return Err(EngineError::Unauthorized { address: address(), status: status.as_u16() });
        }
        if status != StatusCode::OK {
            return Err(EngineError::NotVllm { address: address(), path, reason: format!("HTTP {status}") });
        }
        let body = response.bytes().await.map_err(|error| unreachable(chain(&error)))?;
        serde_json::from_slice(&body).map_err(|error| EngineError::NotVllm {
            address: address(),
            path,
            reason: error.to_string(),
        })
    }

    /// Sends one request and reads its answer until it ends, the judge cuts it, it fails, or a deadline passes.
    /// Dropping the future closes the connection, which ends the request on the server.
    pub async fn ask(&self, question: &EngineRequest) -> EngineResponse {
        let _in_flight = self.traffic.begin();
        stream::read_answer(self.send(question), self.limits, question.max_tokens, &self.traffic).await
    }

    async fn send(&self, question: &EngineRequest) -> Result<Response, End> {
        let request = self
            .completions(question.body.clone())
            .header(header::ACCEPT, "text/event-stream")
            .header("X-Request-Id", &question.request_id);
        request.send().await.map_err(|error| End::Lost { sent: !error.is_connect(), message: chain(&error) })
    }
}

/// The kind of server. A stand-in names itself in its version and as the owner of its model.
fn server_kind(version: &str, owner: &str) -> ServerKind {
    let says = |kind: ServerKind| version.contains(kind.name()) || owner.contains(kind.name());
    let stand_ins = [ServerKind::StandInTesseract, ServerKind::StandInSynthetic];
    stand_ins.into_iter().find(|kind| says(*kind)).unwrap_or(ServerKind::Model)
}

#[derive(Deserialize)]
struct VersionReply {
    version: String,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<ServedModel>,
}

#[derive(Deserialize)]
struct ServedModel {
    id: String,
    #[serde(default)]
    owned_by: String,
    #[serde(default)]
    root: Option<String>,
    max_model_len: Option<u32>,
}

/// The models of the built-in profiles.
static BUILT_IN_MODELS: LazyLock<Vec<String>> = LazyLock::new(|| {
    Profile::built_in().filter_map(|name| Profile::load(name, None).ok()).map(|profile| profile.model).collect()
});

impl ServedModel {
    /// Whether this is the profile's model. Chandra 1 and 2 are usually served under one name, but their boxes have
    /// different scales: a server whose root is known to be the model of another built-in profile is refused.
    fn is_of(&self, profile: &Profile) -> bool {
        let named = self.id == profile.served_name || self.id == profile.model;
        let root = self.root.as_deref().and_then(known_model);
        let another = root.is_some_and(|root| known_model(&profile.model).is_some_and(|wanted| wanted != root));
        named && !another
    }

    fn describe(&self) -> String {
        match &self.root {
            Some(root) if *root != self.id => format!("`{}` ({root})", self.id),
            _ => format!("`{}`", self.id),
        }
    }
}

/// The built-in profile's model that an id or a folder names: the id itself, a hub cache's `models--org--name`, or a
/// folder with the model's name. A name that is the beginning of another model's name proves nothing: people keep
/// Chandra 2 in `chandra`.
fn known_model(id_or_folder: &str) -> Option<&'static str> {
    let name_of = |model: &'static str| model.rsplit('/').next().unwrap_or(model);
    let models = || BUILT_IN_MODELS.iter().map(String::as_str);
    let cached = |model: &str| format!("models--{}", model.replace('/', "--"));
    let folder = id_or_folder.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let telling = |model: &&'static str| {
        name_of(model).eq_ignore_ascii_case(folder)
            && models().all(|other| other == *model || !name_of(other).starts_with(name_of(model)))
    };
    models()
        .find(|model| *model == id_or_folder || id_or_folder.split('/').any(|part| part == cached(model)))
        .or_else(|| models().find(telling).filter(|_| id_or_folder.starts_with(['/', '.', '~'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_id_its_cache_or_a_folder_of_its_own_name() {
        assert_eq!(known_model("datalab-to/chandra"), Some("datalab-to/chandra"));
        let cache = "/home/x/.cache/huggingface/hub/models--datalab-to--chandra/snapshots/0123";
        assert_eq!(known_model(cache), Some("datalab-to/chandra"));
        assert_eq!(known_model("/scratch/models/chandra-ocr-2/"), Some("datalab-to/chandra-ocr-2"));
        assert_eq!(known_model("/scratch/deepseek-ocr-2"), Some("deepseek-ai/DeepSeek-OCR-2"));
        for unknown in ["/scratch/models/chandra", "someone/chandra-ocr-2", "/models/chandra-tiny", "chandra", ""] {
            assert_eq!(known_model(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_server_of_another_known_model_is_refused_whatever_it_is_called() {
        let served = |root: &str| ServedModel {
            id: "chandra".into(),
            owned_by: "vllm".into(),
            root: Some(root.into()),
            max_model_len: None,
        };
        let two = Profile::load("chandra-2", None).unwrap();
        assert!(served("/scratch/models/chandra").is_of(&two), "the name proves nothing");
        assert!(served("/scratch/models--datalab-to--chandra-ocr-2/snapshots/1").is_of(&two));
        assert!(!served("/hub/models--datalab-to--chandra/snapshots/1").is_of(&two));
        let own = Profile { model: "/scratch/mine".into(), ..two };
        assert!(served("datalab-to/chandra-ocr-2").is_of(&own), "an own folder may be any model");
    }

    #[test]
    fn a_stand_in_is_recognised_by_either_sign() {
        assert_eq!(server_kind("0.11.2+stand-in-tesseract", "vllm"), ServerKind::StandInTesseract);
        assert_eq!(server_kind("0.11.2", "bocr-stand-in-synthetic"), ServerKind::StandInSynthetic);
        assert_eq!(server_kind("0.11.2", "vllm"), ServerKind::Model);
    }

    #[test]
    fn addresses_that_cannot_be_used_are_refused() {
        let limit = Duration::from_secs(1);
        let limits = Limits { first_token: limit, token_gap: limit, total: limit };
        let error = Client::new(ServerAddress::Tcp("https://node7:8000".into()), limits, None).unwrap_err();
        assert!(error.to_string().contains("only http"), "{error}");
        assert!(Client::new(ServerAddress::Tcp("node7:8000".into()), limits, None).is_err());
        assert!(Client::new(ServerAddress::Tcp("http://node7:8000".into()), limits, Some("a\nb")).is_err());
    }
}
