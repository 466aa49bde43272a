//! Somebody else's registry: Debian's docker-registry, on loopback, with a configuration of its own.

use anyhow::{Context, Result, bail};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a registry may take until it answers.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// Whom a registry lets in.
pub enum Door {
    /// `user` with the password `secret`.
    Basic,
    /// Whoever has a token of the server beside it, which gives one to anybody for `library/…`, and to
    /// `user:secret` for the rest.
    Bearer,
    /// Anybody who trusts [`Stranger::ca`].
    Tls,
}

/// Registry and token server; dropped, they end.
pub struct Stranger {
    dir: TempDir,
    children: Vec<Child>,
    /// `host:port`.
    pub host: String,
}

/// A token server: key, certificate, port, log of what it was asked.
const TOKEN_SERVER: &str = r#"
import base64, http.server, json, subprocess, sys, time, urllib.parse
key, der, port, log = sys.argv[1:]
def b64(data): return base64.urlsafe_b64encode(data).rstrip(b"=")
x5c = base64.b64encode(open(der, "rb").read()).decode()
class Server(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        who = self.headers.get("Authorization", "-")
        open(log, "a").write(f"{query.get('scope')} {who.split(' ')[0]}\n")
        known = who == "Basic " + base64.b64encode(b"user:secret").decode()
        kind, name, actions = query["scope"].split(":")
        if not (known or name.startswith("library/")):
            return self.answer(401, {"details": "incorrect username or password"})
        now = int(time.time())
        claims = {"iss": "issuer", "sub": "user", "aud": query["service"], "exp": now + 300, "nbf": now - 10,
                  "iat": now, "jti": str(time.time()), "access": [{"type": kind, "name": name, "actions": actions.split(",")}]}
        head = {"typ": "JWT", "alg": "RS256", "x5c": [x5c]}
        text = b64(json.dumps(head).encode()) + b"." + b64(json.dumps(claims).encode())
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=text, capture_output=True, check=True)
        self.answer(200, {"token": (text + b"." + b64(signed.stdout)).decode(), "expires_in": 300})
    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Server).serve_forever()
"#;

impl Stranger {
    pub fn start(door: &Door) -> Result<Self> {
        let port = free_port()?;
        let mut stranger = Self { dir: tempfile::tempdir()?, children: Vec::new(), host: format!("localhost:{port}") };
        let guard = match door {
            Door::Basic => stranger.htpasswd()?,
            Door::Bearer => stranger.token_server()?,
            Door::Tls => stranger.certificate()?,
        };
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n{guard}http:\n  addr: 127.0.0.1:{port}\n{}",
            stranger.path("store").display(),
            match door {
                Door::Tls => format!(
                    "  tls: {{certificate: {}, key: {}}}\n",
                    stranger.ca().display(),
                    stranger.path("key.pem").display()
                ),
                Door::Basic | Door::Bearer => String::new(),
            }
        );
        std::fs::write(stranger.path("config.yml"), config)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(stranger.path("config.yml"));
        stranger.spawn(command)?;
        stranger.wait(port)?;
        Ok(stranger)
    }

    /// PEM of the certificate with which it shows itself.
    pub fn ca(&self) -> PathBuf {
        self.path("cert.pem")
    }

    /// What the token server was asked, a scope and the kind of credentials a line.
    pub fn tokens_asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("tokens")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Ends it; what it stored is gone, too, with the value.
    pub fn end(&mut self) -> Result<()> {
        for mut child in self.children.drain(..) {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    fn htpasswd(&self) -> Result<String> {
        let made = Command::new("htpasswd").args(["-Bbn", "user", "secret"]).output().context("htpasswd is missing")?;
        std::fs::write(self.path("htpasswd"), made.stdout)?;
        Ok(format!("auth:\n  htpasswd: {{realm: stranger, path: {}}}\n", self.path("htpasswd").display()))
    }

    fn token_server(&mut self) -> Result<String> {
        self.certificate()?;
        run(Command::new("openssl")
            .args(["x509", "-outform", "der", "-in"])
            .arg(self.ca())
            .arg("-out")
            .arg(self.path("cert.der")))?;
        let port = free_port()?;
        let mut command = Command::new("python3");
        command.args(["-c", TOKEN_SERVER]).arg(self.path("key.pem")).arg(self.path("cert.der"));
        command.arg(port.to_string()).arg(self.path("tokens"));
        self.spawn(command)?;
        self.wait(port)?;
        Ok(format!(
            "auth:\n  token: {{realm: \"http://127.0.0.1:{port}/token\", service: stranger, issuer: issuer, rootcertbundle: {}}}\n",
            self.ca().display()
        ))
    }

    /// A key, and a certificate for `localhost`.
    fn certificate(&self) -> Result<String> {
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=critical,CA:FALSE",
                "-keyout",
            ])
            .arg(self.path("key.pem"))
            .arg("-out")
            .arg(self.ca()))?;
        Ok(String::new())
    }

    fn spawn(&mut self, mut command: Command) -> Result<()> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let name = command.get_program().to_string_lossy().into_owned();
        self.children.push(child.with_context(|| format!("cannot run {name}: run ./test, which installs it"))?);
        Ok(())
    }

    fn wait(&self, port: u16) -> Result<()> {
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > READY_TIMEOUT {
                bail!("nobody listens on port {port}");
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("a registry could not be ended: {error:#}");
        }
    }
}

/// A port that was free a moment ago: docker-registry does not tell which one it was given.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
