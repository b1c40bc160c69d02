//! The built program as processes: a server on a free port, and commands that ask it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegauge");

/// The operator's token of a server that was set up here.
pub const TOKEN: &str = "my-token";

/// Settings that set a new server up: organisation `o`, bucket `b`, and an operator's token.
pub const SETUP: [(&str, &str); 6] = [
    ("DOCKER_INFLUXDB_INIT_MODE", "setup"),
    ("DOCKER_INFLUXDB_INIT_USERNAME", "admin"),
    ("DOCKER_INFLUXDB_INIT_PASSWORD", "password"),
    ("DOCKER_INFLUXDB_INIT_ORG", "o"),
    ("DOCKER_INFLUXDB_INIT_BUCKET", "b"),
    ("DOCKER_INFLUXDB_INIT_ADMIN_TOKEN", TOKEN),
];

/// A `serve` that is killed when it is dropped.
pub struct Serving {
    child: Child,
    pub url: String,
    pub banner: String,
}

impl Serving {
    /// Waits until the banner says where it listens. `variables` are its settings.
    pub fn start(data_dir: &Path, variables: &[(&str, &str)]) -> Serving {
        Serving::start_by(Command::new(PROGRAM), data_dir, variables)
    }

    /// `command` runs the program with the arguments that are added to it.
    pub fn start_by(mut command: Command, data_dir: &Path, variables: &[(&str, &str)]) -> Serving {
        command.args(["serve", "--http-bind-address", "127.0.0.1:0", "--log-level", "warn", "--data-dir"]).arg(data_dir);
        // To copy the code of a debug build each time would be much of a short life.
        command.env("TIDEGAUGE_CODE_HUGE_PAGES", "false");
        let mut child = command.envs(variables.iter().copied()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut url, mut banner) = (None, String::new());
        for line in lines.by_ref() {
            let line = line.expect("the banner is text");
            banner.push_str(&line);
            banner.push('\n');
            url = url.or_else(|| line.trim().strip_prefix("url").and_then(|rest| rest.split_whitespace().next().map(str::to_string)));
            if line.contains("stops it cleanly") {
                break;
            }
        }
        // The pipe stays open, so that the server can go on writing.
        std::thread::spawn(move || lines.for_each(drop));
        let Some(url) = url else { panic!("the banner has no URL, the server ended with {:?}: {banner}", child.wait()) };
        Serving { child, url, banner }
    }

    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a process of ours")
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("it has ended");
    }

    /// SIGTERM; how it ended and after how long.
    pub fn terminate(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the server runs");
        let status = self.child.wait().expect("it has ended");
        (status, started.elapsed())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command printed.
pub struct Printed {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
}

/// Runs a program to its end with `input` on stdin.
pub fn run(program: &Path, words: &[&str], variables: &[(&str, &str)], input: &[u8]) -> Printed {
    let mut command = Command::new(program);
    // What the person who runs the tests has set must not decide them.
    for name in ["INFLUX_HOST", "INFLUX_TOKEN", "INFLUX_ORG", "INFLUX_ORG_ID", "INFLUX_BUCKET_NAME", "INFLUX_ACTIVE_CONFIG"] {
        command.env_remove(name);
    }
    command.args(words).envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    // A command that reads nothing closes the pipe early.
    let writing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    writing.join().expect("the input is written");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Printed { status, out: text(stdout), err: text(stderr) }
}
