//! The server that is asked: OpenAI's interface over plain HTTP.

use minreq::{Method, Request, Response};
use serde_json::Value;

use crate::failure::Failure;

/// Seconds that a server may take to name its models.
const MODELS_SECONDS: u64 = 30;
/// Seconds that an answer may take: a queue may be long, a kernel may be compiled.
const ANSWER_SECONDS: u64 = 600;
/// Of what a server says when it refuses, characters shown.
const SHOWN: usize = 200;

/// A server and the model it serves.
#[derive(Clone, Debug)]
pub(super) struct Server {
    url: String,
    /// The name of its first model.
    pub model: String,
}

impl Server {
    /// The server at `url`, which must be there.
    pub fn new(url: &str) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/').to_owned();
        let hint = "--url is where its interface begins: http://127.0.0.1:30000/v1";
        if url.starts_with("https://") {
            return Err(Failure::new(
                format!("{url} asks for encryption, which memtrace does not speak"),
                "ask the server on its own machine: http://127.0.0.1:30000/v1",
            ));
        }
        if !url.starts_with("http://") {
            return Err(Failure::new(format!("{url:?} is no address of a server"), hint));
        }
        let mut server = Self { url, model: String::new() };
        let answer = server.ask(Method::Get, "models", None, MODELS_SECONDS);
        let answer = answer.map_err(|why| Failure::new(why, hint))?;
        let models: Value = serde_json::from_str(&answer).unwrap_or_default();
        match models["data"][0]["id"].as_str() {
            Some(model) => server.model = model.to_owned(),
            None => {
                let why = format!("{}/models names no model", server.url);
                return Err(Failure::new(why, hint));
            }
        }
        Ok(server)
    }

    /// Asks for a completion and waits for it. A sentence where none comes.
    pub fn chat(&self, body: String) -> Result<(), String> {
        self.ask(Method::Post, "chat/completions", Some(body), ANSWER_SECONDS).map(drop)
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        seconds: u64,
    ) -> Result<String, String> {
        let url = format!("{}/{path}", self.url);
        let mut request = Request::new(method, url.as_str()).with_timeout(seconds);
        if let Some(body) = body {
            request = request.with_header("Content-Type", "application/json").with_body(body);
        }
        let answer = request.send().map_err(|error| format!("{url} does not answer: {error}"))?;
        let text = text(&answer);
        if answer.status_code == 200 {
            return Ok(text);
        }
        // Where a server closes the connection without a word, the reason says so.
        let mut why = format!("{url} refused: {} {}", answer.status_code, answer.reason_phrase);
        let said: String = text.trim().chars().take(SHOWN).collect();
        if !said.is_empty() {
            why.push_str(": ");
            why.push_str(&said);
        }
        Err(why)
    }
}

fn text(answer: &Response) -> String {
    String::from_utf8_lossy(answer.as_bytes()).into_owned()
}
