//! A server as commands see it: requests out, JSON or bytes back, and a failure with the server's own words.

use super::interrupt::Interrupt;
use crate::model::{ErrorKind, Failure, Result};
use bytes::Bytes;
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    header::{self, HeaderName},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{io::Read, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Runtime};
use url::Url;

/// A server's answer as what it stands for.
pub fn answered<T: DeserializeOwned>(answer: Value) -> Result<T> {
    serde_json::from_value(answer).map_err(|e| Failure::internal(format!("the server's answer cannot be read: {e}")))
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Identity {
    Nobody,
    Token(String),
    /// `username:password` in base64.
    Password(String),
}

#[derive(Clone)]
pub struct Server {
    http: Client,
    /// One thread for the connections; commands wait for it.
    runtime: Arc<Runtime>,
    interrupt: Interrupt,
    url: Url,
    identity: Identity,
    debug: bool,
}

/// An answer that is a success; its body is read as it comes.
pub struct Reply<'a> {
    server: &'a Server,
    answer: Response,
    /// Of the last piece, what [`Read`] has not given out.
    rest: Bytes,
}

/// An answer that is no success: its status and its body.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub body: Vec<u8>,
    pub retry_after_s: Option<u32>,
}

impl Server {
    /// `url` may be without its scheme. Nothing is sent yet.
    pub fn at(url: &str, identity: Identity, skip_verify: bool, debug: bool) -> Result<Server> {
        let invalid = |why: &dyn std::fmt::Display| Failure::invalid(format!("host URL \"{url}\" is invalid: {why}"));
        let full = if url.contains("://") { url.to_string() } else { format!("http://{url}") };
        let parsed = Url::parse(&full).map_err(|e| invalid(&e))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(invalid(&"write it like http://localhost:8086"));
        }
        // No limit on the whole answer: a query may take its time.
        let mut builder = Client::builder().connect_timeout(Duration::from_secs(10)).danger_accept_invalid_certs(skip_verify);
        // The machine itself is never behind a proxy.
        if matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]")) {
            builder = builder.no_proxy();
        }
        let http = builder.user_agent(concat!("tidegauge/", env!("CARGO_PKG_VERSION"))).build();
        let http = http.map_err(|e| Failure::internal(e.to_string()))?;
        let runtime = Arc::new(Builder::new_multi_thread().worker_threads(1).enable_all().build()?);
        Ok(Server { http, runtime, interrupt: Interrupt::default(), url: parsed, identity, debug })
    }

    /// From now on Ctrl-C ends the request under way, and those after it up to [`Interrupt::forget`], not the program.
    pub fn keep_on_interrupt(&self) {
        self.interrupt.listen(self.runtime.handle());
    }

    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// What the connection's thread makes of it; a request that is given up closes its connection, which has the server stop.
    fn wait<T>(&self, work: impl Future<Output = reqwest::Result<T>>) -> Result<T> {
        let interrupted = self.interrupt.wanted();
        self.runtime.block_on(async {
            tokio::select! {
                () = interrupted.cancelled() => Err(Interrupt::failure()),
                done = work => done.map_err(|e| self.unreachable(&e)),
            }
        })
    }

    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub fn request(&self, method: Method, path: &str, params: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        let request = self.http.request(method, url).query(params);
        match &self.identity {
            Identity::Nobody => request,
            Identity::Token(token) => request.header(header::AUTHORIZATION, format!("Token {token}")),
            Identity::Password(basic) => request.header(header::AUTHORIZATION, format!("Basic {basic}")),
        }
    }

    /// The answer, whatever its status.
    pub fn exchange(&self, request: RequestBuilder) -> Result<Result<Reply<'_>, Refusal>> {
        let request = request.build().map_err(|e| Failure::invalid(e.to_string()))?;
        let line = format!("{} {}", request.method(), request.url());
        let answer = self.wait(self.http.execute(request));
        if self.debug {
            let status = answer.as_ref().map_or_else(|f| f.message.clone(), |a| a.status().to_string());
            eprintln!("{line}: {status}");
        }
        let answer = answer?;
        if answer.status().is_success() {
            return Ok(Ok(Reply { server: self, answer, rest: Bytes::new() }));
        }
        let status = answer.status();
        let after = answer.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let body = self.wait(answer.bytes())?.to_vec();
        Ok(Err(Refusal { status, body, retry_after_s: after }))
    }

    /// The answer of a request that succeeded.
    pub fn send(&self, request: RequestBuilder) -> Result<Reply<'_>> {
        self.exchange(request)?.map_err(Refusal::into)
    }

    pub fn get(&self, path: &str, params: &[(&str, &str)]) -> Result<Value> {
        self.json(self.request(Method::GET, path, params))
    }

    pub fn post(&self, path: &str, params: &[(&str, &str)], body: &Value) -> Result<Value> {
        self.json(self.request(Method::POST, path, params).json(body))
    }

    pub fn patch(&self, path: &str, params: &[(&str, &str)], body: &Value) -> Result<Value> {
        self.json(self.request(Method::PATCH, path, params).json(body))
    }

    pub fn delete(&self, path: &str, params: &[(&str, &str)]) -> Result<()> {
        self.send(self.request(Method::DELETE, path, params)).map(|_| ())
    }

    /// The body as JSON; null when it is empty.
    pub fn json(&self, request: RequestBuilder) -> Result<Value> {
        let body = self.bytes(request)?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|e| Failure::internal(format!("the server's answer is no JSON: {e}")))
    }

    pub fn bytes(&self, request: RequestBuilder) -> Result<Bytes> {
        let Reply { answer, .. } = self.send(request)?;
        self.wait(answer.bytes())
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = e;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let what = if e.is_connect() { "cannot be reached" } else { "did not answer in full" };
        let hint = if e.is_connect() { "; is it running (`tidegauge serve`), and is --host right?" } else { "" };
        Failure::new(ErrorKind::Unavailable, format!("the server at {} {what}: {cause}{hint}", self.url()))
    }
}

impl Reply<'_> {
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.answer.headers().get(name)?.to_str().ok()
    }

    /// The next piece of the body; `None` at its end.
    pub fn piece(&mut self) -> Result<Option<Bytes>> {
        self.server.wait(self.answer.chunk())
    }
}

impl Read for Reply<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.rest.is_empty() {
            match self.piece().map_err(std::io::Error::other)? {
                Some(piece) => self.rest = piece,
                None => return Ok(0),
            }
        }
        let read = self.rest.len().min(out.len());
        out[..read].copy_from_slice(&self.rest.split_to(read));
        Ok(read)
    }
}

impl Refusal {
    /// What the server says of it: `message`, or `error` in the 1.x and 3 APIs, or the text itself.
    pub fn message(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let said = ["message", "error"].into_iter().find_map(|key| json[key].as_str().map(str::to_string));
        said.unwrap_or_else(|| String::from_utf8_lossy(&self.body).trim().chars().take(300).collect())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The same request may succeed later.
    pub fn is_passing(&self) -> bool {
        matches!(self.status.as_u16(), 429 | 502 | 503 | 504)
    }
}

impl From<Refusal> for Failure {
    /// `401 Unauthorized: unauthorized access`, as the `influx` CLI prints it.
    fn from(refusal: Refusal) -> Failure {
        let kind = match refusal.status.as_u16() {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            404 => ErrorKind::NotFound,
            413 => ErrorKind::TooLarge,
            422 => ErrorKind::Unprocessable,
            429 => ErrorKind::TooMany,
            501 => ErrorKind::NotImplemented,
            503 => ErrorKind::Unavailable,
            500.. => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        };
        let message = refusal.message();
        let separator = if message.is_empty() { "" } else { ": " };
        Failure::new(kind, format!("{}{separator}{message}", refusal.status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{net::TcpListener, thread};

    #[test]
    fn an_interrupt_ends_the_request_and_closes_its_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Server::at(&listener.local_addr().expect("an address").to_string(), Identity::Nobody, false, false).expect("a client");
        let interrupt = server.interrupt().wanted();
        let silent = thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("a client");
            let request = client.read(&mut [0; 4096]).expect("a request");
            interrupt.cancel();
            let rest = client.read(&mut [0; 4096]).expect("the client closes");
            (request > 0, rest)
        });
        assert_eq!(server.get("/health", &[]).expect_err("nobody answers").message, "interrupted");
        assert_eq!(silent.join().expect("no panic"), (true, 0));
        assert!(server.interrupt().check().is_err());
        server.interrupt().forget();
        assert!(server.interrupt().check().is_ok());
    }
}
