//! nginx, as Debian ships it, serving one large file.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Size of the file.
pub(crate) const BODY: u64 = 4 << 20;

/// A server with a master and one worker, on a port of its own.
#[derive(Debug)]
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
}

impl Nginx {
    /// Starts it in `directory` with these lines in `http {}`; `None` where it is not installed.
    pub(crate) fn start(directory: &Path, lines: &str) -> Option<Self> {
        let installed = Command::new("nginx")
            .arg("-v")
            .stderr(Stdio::null())
            .status();
        if installed.is_err() {
            println!("SKIP: nginx is not installed");
            return None;
        }
        let body: Vec<u8> = (0..BODY).map(|index| (index % 251) as u8).collect();
        fs::write(directory.join("body"), body).expect("the file to serve");
        let port = free_port();
        let here = directory.display();
        let config = format!(
            "user root; daemon off; worker_processes 1; pid {here}/pid; error_log {here}/errors;
             events {{ worker_connections 64; }}
             http {{
                 access_log off; root {here}; default_type application/octet-stream;
                 client_body_temp_path {here}/1; proxy_temp_path {here}/2;
                 fastcgi_temp_path {here}/3; uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
                 {lines}
                 server {{
                     listen 127.0.0.1:{port};
                     location = /copied {{ alias {here}/body; sendfile off; }}
                 }}
             }}"
        );
        fs::write(directory.join("nginx.conf"), config).expect("the configuration");
        let child = Command::new("nginx")
            .arg("-c")
            .arg(directory.join("nginx.conf"))
            .args(["-e", "stderr", "-p"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nginx starts");
        let mut server = Self { child, port };
        server.wait_for_it();
        Some(server)
    }

    /// Waits until the worker answers.
    fn wait_for_it(&mut self) {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "nginx ended: {ended:?}");
            assert!(start.elapsed() < Duration::from_secs(60), "nginx hangs");
            thread::sleep(Duration::from_millis(20));
        }
        self.fetch(1);
    }

    /// The id of its worker.
    pub(crate) fn worker(&self) -> u32 {
        let master = self.child.id();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let children = children.expect("its children");
        children.trim().parse().expect("one worker")
    }

    /// Gets the file this many times over one connection, and checks every byte.
    pub(crate) fn fetch(&self, times: u64) {
        self.fetch_from("/body", times);
    }

    /// The same file under another name: from `/copied` it comes without sendfile, whatever the
    /// configuration says.
    pub(crate) fn fetch_from(&self, path: &str, times: u64) {
        let mut body = vec![0; usize::try_from(BODY).expect("it fits")];
        self.ask_for(path, times, |connection| {
            connection.read_exact(&mut body).expect("the whole file");
            let right = body
                .iter()
                .enumerate()
                .all(|(index, byte)| *byte == (index % 251) as u8);
            assert!(right, "other bytes than those of the file");
        });
    }

    /// As [`Self::fetch_from`], but throws the file away, which is quicker than the server.
    pub(crate) fn throw_away(&self, path: &str, times: u64) {
        let mut to = vec![0; 1 << 20];
        self.ask_for(path, times, |connection| {
            let mut left = usize::try_from(BODY).expect("it fits");
            while left > 0 {
                let room = left.min(to.len());
                let some = connection.read(&mut to[..room]).expect("the file");
                assert!(some > 0, "it ends early");
                left -= some;
            }
        });
    }

    /// Asks for the file this many times over one connection, and leaves its body to the caller.
    fn ask_for(&self, path: &str, times: u64, mut take: impl FnMut(&mut TcpStream)) {
        let mut connection =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("nginx listens");
        for left in (0..times).rev() {
            let connect = if left == 0 { "close" } else { "keep-alive" };
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connect}\r\n\r\n");
            connection.write_all(request.as_bytes()).expect("a request");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                connection.read_exact(&mut byte).expect("a response");
                head.push(byte[0]);
            }
            assert!(
                head.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&head)
            );
            take(&mut connection);
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its worker too.
        let _ = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    listener.local_addr().expect("its address").port()
}
