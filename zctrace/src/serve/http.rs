//! The endpoints: `/metrics`, `/healthz`, `/readyz`.

use std::{
    convert::Infallible,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    thread,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE},
    http::uri::Authority,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{Backlog, listen};
use subtle::ConstantTimeEq as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{Builder, Runtime},
    time,
};

use super::{
    metrics,
    places::{Place, Places},
    series::{Shared, lock},
    tls::Tls,
};
use crate::text::{message::say, named_file};

/// How long a connection lasts, from when it is accepted to its answer's last byte: as long as
/// Prometheus waits for a scrape.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take for TLS' handshake, and then to say what it wants.
const HEADER_PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before connections are accepted again, where there are no descriptors for them.
const RETRY: Duration = Duration::from_secs(1);

/// How many clients the kernel keeps waiting to be accepted; `net.core.somaxconn` is its own bound.
const QUEUE: i32 = 4095;

/// Far longer than any token.
const MOST_TOKEN: u64 = 4096;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address of this machine.
    Tcp(SocketAddr),
    /// A socket in the filesystem.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a path is missing: write unix:/run/zctrace.sock".into()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "write ADDRESS:PORT, or unix:PATH".into()),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names in `Host` under which this machine is known, beside its own. A page in a browser can reach
    /// this server by a name that its author points here (DNS rebinding), but not choose the name.
    pub hosts: Vec<String>,
    /// What `/metrics` asks for as a bearer token.
    pub token: Option<Vec<u8>>,
}

impl Access {
    /// Reads the token from a file; white space at its end is not part of it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is too long or empty.
    pub fn read_token(&mut self, path: &Path) -> io::Result<()> {
        let text = named_file::read_text(path, MOST_TOKEN)?;
        let token = text.trim_end();
        if token.is_empty() {
            return Err(io::Error::other("it has no token"));
        }
        self.token = Some(token.as_bytes().to_vec());
        Ok(())
    }

    /// Whether every name that a request gives to its receiver is this machine's. Without a name it is: no browser
    /// leaves it out.
    fn knows<B>(&self, request: &Request<B>) -> bool {
        let in_target = request.uri().authority().map(Authority::as_str);
        let hosts = request.headers().get_all(HOST);
        let mut names = in_target
            .map(Ok)
            .into_iter()
            .chain(hosts.iter().map(HeaderValue::to_str));
        names.all(|name| name.is_ok_and(|name| self.knows_name(name)))
    }

    fn knows_name(&self, host: &str) -> bool {
        let name = without_port(host);
        let address = name.trim_start_matches('[').trim_end_matches(']');
        if address.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let is = |known: &str| known == "*" || known.eq_ignore_ascii_case(name);
        self.hosts.iter().any(|known| is(known)) || is_own_name(name)
    }

    fn lets_in(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else {
            return true;
        };
        let given = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        given
            .and_then(|given| given.strip_prefix(b"Bearer "))
            .is_some_and(|given| given.ct_eq(token).into())
    }
}

/// The name in `name:port`, `[::1]:port` or either without a port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !port.ends_with(']') && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

/// Whether this machine has the name, with its domain or without.
fn is_own_name(name: &str) -> bool {
    let Ok(own) = nix::unistd::gethostname() else {
        return false;
    };
    let own = own.to_string_lossy();
    let short = own.split('.').next().unwrap_or_default();
    [&own, short]
        .iter()
        .any(|own| !own.is_empty() && own.eq_ignore_ascii_case(name))
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// An address that is listened on; nothing is answered until [`Server::start`].
pub struct Server {
    listener: Listener,
    address: Address,
    tls: Option<Tls>,
}

impl Server {
    /// Takes the address. A socket that a server which has ended left in the filesystem is replaced.
    ///
    /// # Errors
    ///
    /// When it is in use or not this machine's.
    pub fn listen(address: &Address) -> io::Result<Self> {
        let (listener, address) = match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                // The library's queue is short, and those who wait in it are still to be served.
                listen(&listener, Backlog::new(QUEUE)?)?;
                let address = Address::Tcp(listener.local_addr()?);
                (Listener::Tcp(listener), address)
            }
            Address::Unix(path) => {
                let listener = at_path(path)?;
                fs::set_permissions(path, fs::Permissions::from_mode(named_file::mode()))?;
                (Listener::Unix(listener), address.clone())
            }
        };
        Ok(Self {
            listener,
            address,
            tls: None,
        })
    }

    /// Answers only those who speak TLS.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Where it listens, with the port that was chosen if it was 0.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Where the metrics are, for people.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) if self.tls.is_some() => format!("https://{address}/metrics"),
            Address::Tcp(address) => format!("http://{address}/metrics"),
            Address::Unix(path) => format!("/metrics on {}", path.display()),
        }
    }

    /// Answers, in one thread of its own, for as long as the process lives. The thread has the signals
    /// and capabilities of the moment.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start(self, shared: Shared, access: Access) -> io::Result<()> {
        match &self.listener {
            Listener::Tcp(listener) => listener.set_nonblocking(true)?,
            Listener::Unix(listener) => listener.set_nonblocking(true)?,
        }
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let door = Door {
            shared,
            access: Arc::new(access),
            tls: self.tls,
        };
        thread::Builder::new()
            .name("zctrace-http".into())
            .spawn(move || run(&runtime, self.listener, &door))?;
        Ok(())
    }
}

fn at_path(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let is_left_over = is_socket
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_left_over {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// What every connection is answered with.
#[derive(Clone)]
struct Door {
    shared: Shared,
    access: Arc<Access>,
    tls: Option<Tls>,
}

fn run(runtime: &Runtime, listener: Listener, door: &Door) {
    let ended = runtime.block_on(async {
        let places = Places::default();
        match listener {
            Listener::Tcp(listener) => {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                loop {
                    let stream = listener.accept().await.map(|(stream, _)| stream);
                    serve(stream, &places, door).await;
                }
            }
            Listener::Unix(listener) => {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                loop {
                    let stream = listener.accept().await.map(|(stream, _)| stream);
                    serve(stream, &places, door).await;
                }
            }
        }
        #[expect(unreachable_code, reason = "it names the type of the errors above")]
        io::Result::Ok(())
    });
    if let Err(error) = ended {
        say(&format!("warning: cannot accept connections: {error}"));
    }
}

/// Gives a client a place and begins to answer it.
async fn serve<S>(stream: io::Result<S>, places: &Places, door: &Door)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(stream) = stream else {
        // For want of descriptors above all. Those come back when clients leave.
        return time::sleep(RETRY).await;
    };
    let place = places.take().await;
    let task = tokio::spawn(time::timeout(
        PATIENCE,
        open(stream, door.clone(), place.clone()),
    ));
    place.is_of(&task);
    // Who has sent its request already gets to be heard before the next one is let in.
    tokio::task::yield_now().await;
}

/// Answers a client, in TLS if there is any.
async fn open<S>(stream: S, door: Door, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(tls) = &door.tls else {
        return converse(stream, door, place).await;
    };
    // The peer may be gone or silent, or not speak TLS; that is its own business.
    if let Ok(Ok(stream)) = time::timeout(HEADER_PATIENCE, tls.0.accept(stream)).await {
        place.has_come_in();
        converse(stream, door, place).await;
    }
}

async fn converse<S>(stream: S, door: Door, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        place.has_asked();
        let response = answer(&request, &door.shared, &door.access);
        async { Ok::<_, Infallible>(response) }
    });
    let _ = http1::Builder::new()
        // A scrape comes every few seconds at most, and an open connection is a place taken.
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer<B>(request: &Request<B>, shared: &Shared, access: &Access) -> Response<Full<Bytes>> {
    let (method, path) = (request.method(), request.uri().path());
    if !access.knows(request) {
        return text(
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not accept that name: --allow-host NAME\n",
        );
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" if !access.lets_in(request.headers()) => {
            let mut response = text(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        "/metrics" => match metrics::text(&lock(shared)) {
            Ok(metrics) => response(StatusCode::OK, metrics, metrics::MEDIA_TYPE),
            Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n"),
        },
        "/healthz" => state(lock(shared).is_healthy(), "no reading for too long\n"),
        "/readyz" => state(lock(shared).is_ready(), "nothing read yet\n"),
        "/" => text(StatusCode::OK, "zctrace: /metrics /healthz /readyz\n"),
        _ => text(
            StatusCode::NOT_FOUND,
            "not here: /metrics /healthz /readyz\n",
        ),
    }
}

fn state(good: bool, otherwise: &'static str) -> Response<Full<Bytes>> {
    if good {
        text(StatusCode::OK, "ok\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, otherwise)
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    response(status, body, "text/plain")
}

fn response(
    status: StatusCode,
    body: impl Into<Bytes>,
    media: &'static str,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(access: &Access, path: &str, headers: &[(&str, &str)]) -> u16 {
        let shared =
            Shared::new(super::super::Series::new(10, false, Duration::from_secs(1)).into());
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        answer(&request, &shared, access).status().as_u16()
    }

    #[test]
    fn a_name_that_somebody_else_chose_is_refused() {
        let access = Access {
            hosts: vec!["Metrics.example".into()],
            token: None,
        };
        let own = nix::unistd::gethostname().unwrap();
        for known in [
            "localhost",
            "LocalHost:9464",
            "127.0.0.1:9464",
            "10.0.0.7",
            "[::1]",
            "[fe80::1]:9464",
            "metrics.example:80",
            own.to_str().unwrap(),
        ] {
            assert_eq!(status(&access, "/", &[("host", known)]), 200, "{known}");
        }
        for unknown in [
            "evil.example",
            "localhost.evil.example:9464",
            "",
            "1.2.3.4.evil",
        ] {
            let answer = status(&access, "/metrics", &[("host", unknown)]);
            assert_eq!(answer, 421, "{unknown}");
        }
        assert_eq!(status(&access, "/", &[]), 200);
        // Of several names each counts, in whatever order, and the one in the request's first line.
        for (first, second) in [("localhost", "evil.example"), ("evil.example", "localhost")] {
            let answer = status(&access, "/", &[("host", first), ("host", second)]);
            assert_eq!(answer, 421, "{first}, {second}");
            let answer = status(&access, &format!("http://{first}/"), &[("host", second)]);
            assert_eq!(answer, 421, "{first}, {second}");
        }
        assert_eq!(status(&access, "http://localhost:9464/", &[]), 200);
        let any = Access {
            hosts: vec!["*".into()],
            token: None,
        };
        assert_eq!(status(&any, "/", &[("host", "evil.example")]), 200);
    }

    #[test]
    fn a_token_is_asked_for_the_metrics_alone() {
        let access = Access {
            hosts: Vec::new(),
            token: Some(b"secret".to_vec()),
        };
        let metrics = |given: &str| status(&access, "/metrics", &[("authorization", given)]);
        assert_eq!(metrics("Bearer secret"), 200);
        for wrong in [
            "Bearer secre",
            "Bearer secret2",
            "Bearer ",
            "secret",
            "Basic secret",
        ] {
            assert_eq!(metrics(wrong), 401, "{wrong}");
        }
        assert_eq!(status(&access, "/metrics", &[]), 401);
        // Kubernetes asks without one.
        assert_eq!(status(&access, "/readyz", &[]), 503);
        assert_eq!(status(&Access::default(), "/metrics", &[]), 200);
    }

    #[test]
    fn a_token_has_no_end_of_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let mut access = Access::default();
        fs::write(&path, "secret\n").unwrap();
        access.read_token(&path).unwrap();
        assert_eq!(access.token.as_deref(), Some(&b"secret"[..]));
        fs::write(&path, " \n").unwrap();
        let error = access.read_token(&path).unwrap_err();
        assert_eq!(error.to_string(), "it has no token");
    }

    #[test]
    fn addresses_are_read() {
        let address: Address = "127.0.0.1:9464".parse().unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:9464");
        let address: Address = "unix:/run/zctrace.sock".parse().unwrap();
        assert_eq!(address, Address::Unix("/run/zctrace.sock".into()));
        let missing = "a path is missing: write unix:/run/zctrace.sock";
        assert_eq!("unix:".parse::<Address>(), Err(missing.to_owned()));
        for wrong in ["", "localhost:9464", "9464"] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert_eq!(error, "write ADDRESS:PORT, or unix:PATH", "{wrong}");
        }
    }

    /// What a client that asks for `path` is answered.
    fn asked(mut stream: impl io::Read + io::Write, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn started(address: &Address) -> Address {
        let shared =
            Shared::new(super::super::Series::new(10, false, Duration::from_secs(1)).into());
        let server = Server::listen(address).unwrap();
        let address = server.address().clone();
        server.start(shared, Access::default()).unwrap();
        address
    }

    #[test]
    fn silent_clients_keep_nobody_out() {
        let Address::Tcp(address) = started(&"127.0.0.1:0".parse().unwrap()) else {
            panic!("not what was asked for");
        };
        // Three times as many as there are places; they say nothing, and never leave.
        let silent: Vec<_> = (0..190)
            .map(|_| std::net::TcpStream::connect(address).unwrap())
            .collect();
        for path in ["/metrics", "/healthz", "/"] {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let answer = asked(stream, path);
            assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer:?}");
        }
        drop(silent);
    }

    #[test]
    fn a_socket_in_the_filesystem_answers_and_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        // As a server that was killed leaves it.
        drop(UnixListener::bind(&path).unwrap());
        started(&Address::Unix(path.clone()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, named_file::mode());
        let answer = asked(UnixStream::connect(&path).unwrap(), "/");
        assert!(answer.contains("zctrace: /metrics"), "{answer:?}");
        // One that is in use stays.
        let taken = Server::listen(&Address::Unix(path));
        assert!(taken.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse));
    }
}
