//! The endpoints: `/metrics`, `/healthz`, `/readyz`.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time,
};

use super::{
    metrics,
    series::{Shared, lock},
};
use crate::output::message::say;

/// Connections at a time. Those beyond wait in the kernel's queue: no descriptor and no memory here.
const CONNECTIONS: usize = 64;

/// How long a connection lasts, from when it is accepted to its answer's last byte: as long as
/// Prometheus waits for a scrape. Who says nothing must not keep others out for longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait before connections are accepted again, where there are no descriptors for them.
const RETRY: Duration = Duration::from_secs(1);

/// An address that is listened on; nothing is answered until [`Server::start`].
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// When it is in use or not this machine's.
    pub fn listen(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the port that was chosen if it was 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, in one thread of its own, for as long as the process lives. The thread has the signals
    /// and capabilities of the moment.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start(self, shared: Shared) -> io::Result<()> {
        self.listener.set_nonblocking(true)?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        thread::Builder::new()
            .name("zctrace-http".into())
            .spawn(move || run(&runtime, self.listener, &shared))?;
        Ok(())
    }
}

fn run(runtime: &Runtime, listener: TcpListener, shared: &Shared) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return say(&format!("warning: nothing is answered: {error}")),
        };
        // The semaphore is never closed.
        while let Ok(place) = free.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                // For want of descriptors above all. Those come back when clients leave.
                time::sleep(RETRY).await;
                continue;
            };
            let shared = shared.clone();
            tokio::spawn(async move {
                // The peer may be gone or silent; that is its own business.
                let _ = time::timeout(PATIENCE, connection(stream, shared)).await;
                drop(place);
            });
        }
    });
}

/// One request and its answer.
async fn connection(stream: TcpStream, shared: Shared) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &shared);
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        // A scrape comes every few seconds at most, and an open connection is a place taken.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(method: &Method, path: &str, shared: &Shared) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
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
