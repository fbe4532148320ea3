//! Starts real stand-in processes and talks to them.
#![allow(dead_code, clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bulletin_ocr::engine::ServerAddress;
use serde_json::{Value, json};

/// Nothing here takes this long unless it never happens.
const DEADLINE: Duration = Duration::from_secs(60);

/// A stand-in process; killed on drop.
pub struct Server {
    pub child: Child,
    pub url: String,
    pub client: reqwest::Client,
    /// Its standard error.
    log: tempfile::NamedTempFile,
}

impl Server {
    /// A stand-in on a free port.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with_key(arguments, None)
    }

    /// A stand-in on a free port, with this key in its environment.
    pub fn start_with_key(arguments: &[&str], key: Option<&str>) -> Self {
        Self::start_with(arguments, key.map(|key| ("VLLM_API_KEY", key)))
    }

    /// A stand-in on a free port, with this variable in its environment.
    pub fn start_with_variable(arguments: &[&str], variable: (&str, &str)) -> Self {
        Self::start_with(arguments, Some(variable))
    }

    fn start_with(arguments: &[&str], variable: Option<(&str, &str)>) -> Self {
        let arguments = [arguments, &["--port", "0"]].concat();
        Self::launch(&arguments, variable, |address| (address.into(), reqwest::Client::builder()))
    }

    /// A stand-in on a Unix socket.
    pub fn start_on_socket(arguments: &[&str], socket: &Path) -> Self {
        let path = socket.to_str().unwrap();
        Self::launch(&[arguments, &["--uds", path]].concat(), None, |address| {
            assert_eq!(address, format!("unix:{path}"));
            ("http://localhost".into(), reqwest::Client::builder().unix_socket(path))
        })
    }

    fn launch(
        arguments: &[&str],
        variable: Option<(&str, &str)>,
        connect: impl FnOnce(&str) -> (String, reqwest::ClientBuilder),
    ) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_bocr"))
            .arg("stand-in")
            .args(arguments)
            .env_remove("VLLM_API_KEY")
            .envs(variable)
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("not ready: {line:?}"));
        let (url, builder) = connect(address);
        Server { child, url, client: builder.no_proxy().timeout(DEADLINE).build().unwrap(), log }
    }

    /// The address for the engine's own client.
    pub fn address(&self) -> ServerAddress {
        ServerAddress::Tcp(self.url.clone())
    }

    /// The chat requests that have ended, as the stand-in tells them: `ID OUTCOME`.
    pub fn requests(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("request ")).map(String::from).collect()
    }

    /// Waits until so many chat requests have ended.
    pub async fn until_requests(&self, number: usize) -> Vec<String> {
        let began = Instant::now();
        loop {
            let requests = self.requests();
            if requests.len() >= number {
                return requests;
            }
            assert!(began.elapsed() < DEADLINE, "never {number} requests: {requests:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub fn post(&self, body: &Value) -> reqwest::RequestBuilder {
        self.client
            .post(format!("{}/v1/chat/completions", self.url))
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    /// Status and body of a chat request.
    pub async fn chat(&self, body: &Value) -> (u16, Value) {
        let response = self.post(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    /// All events of a stream, and whether the connection ended in order.
    pub async fn stream(&self, body: &Value) -> (Vec<String>, bool) {
        let (bytes, orderly) = self.stream_bytes(body).await;
        (events(&String::from_utf8(bytes).unwrap()), orderly)
    }

    /// All bytes of a stream, and whether the connection ended in order.
    pub async fn stream_bytes(&self, body: &Value) -> (Vec<u8>, bool) {
        let mut body = body.clone();
        body["stream"] = json!(true);
        let mut response = self.post(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut bytes = Vec::new();
        let orderly = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        (bytes, orderly)
    }

    /// A sample of `/metrics`.
    pub async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find(|line| line.starts_with(&format!("{name}{{"))).unwrap_or_else(|| panic!("{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until a sample of `/metrics` has a value.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let began = Instant::now();
        while self.metric(name).await != value {
            assert!(began.elapsed() < DEADLINE, "{name} is never {value}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the process's own end.
    pub async fn end(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "the process never ends");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the process has so many Tesseract children, and names them.
    pub async fn until_tesseracts(&self, number: usize) -> Vec<u32> {
        let began = Instant::now();
        loop {
            let children = tesseracts(self.child.id());
            if children.len() == number {
                return children;
            }
            assert!(began.elapsed() < DEADLINE, "never {number} tesseract children: {children:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Living Tesseract children of a process.
fn tesseracts(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((before, after)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = after.split_whitespace().collect();
        if before.ends_with("(tesseract") && fields[0] != "Z" && fields[1] == parent.to_string() {
            found.push(pid);
        }
    }
    found
}

/// Waits until a process is gone, or only waits to be collected.
pub async fn until_gone(pid: u32) {
    let began = Instant::now();
    while std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with('Z')))
    {
        assert!(began.elapsed() < DEADLINE, "process {pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The data of each event.
pub fn events(text: &str) -> Vec<String> {
    text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(String::from).collect()
}

/// The text of a stream's chunks.
pub fn text_of(events: &[String]) -> String {
    chunks(events).iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

/// A stream's chunks, without the end mark.
pub fn chunks(events: &[String]) -> Vec<Value> {
    events.iter().filter(|event| *event != "[DONE]").map(|event| serde_json::from_str(event).unwrap()).collect()
}

/// A blank page.
pub fn blank(width: u32, height: u32) -> Vec<u8> {
    encode(&image::GrayImage::from_pixel(width, height, image::Luma([255])))
}

/// A page that takes Tesseract long: a piece of a gazette, many times over.
pub fn dense(side: u32) -> Vec<u8> {
    let piece = image::load_from_memory(&sample("french.png")).unwrap().into_luma8();
    encode(&image::GrayImage::from_fn(side, side, |x, y| *piece.get_pixel(x % piece.width(), y % piece.height())))
}

fn encode(image: &image::GrayImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A file of `tests/data/standin`.
pub fn sample(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/standin").join(name);
    std::fs::File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// The request of a page: image, then text.
pub fn page(model: &str, png: &[u8]) -> Value {
    json!({
        "model": model, "max_tokens": 4000, "temperature": 0.0, "top_p": 0.1,
        "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{}", STANDARD.encode(png)) } },
            { "type": "text", "text": "Read the page." },
        ]}],
    })
}

/// A request without an image, as a watcher sends it to see whether the engine still makes tokens.
pub fn canary(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 1, "messages": [{ "role": "user", "content": "." }] })
}

/// A fault script in a file of its own.
pub fn script(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}
