//! The endpoints: `/metrics`, `/healthz`, `/readyz`.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use tiny_http::{Header, Method, Request, Response};

use super::{
    metrics,
    series::{Shared, lock},
};

/// How long to wait before connections are accepted again.
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

    /// Answers, in threads of its own, for as long as the process lives.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start(self, shared: Shared) -> io::Result<()> {
        // Makes threads, which have the signals and capabilities of the moment.
        let mut server = server(&self.listener)?;
        thread::Builder::new()
            .name("zctrace-http".into())
            .spawn(move || {
                loop {
                    for request in server.incoming_requests() {
                        // The peer may be gone; that is its own business.
                        let _ = answer(request, &shared);
                    }
                    // It gives up when a connection cannot be accepted, for want of descriptors
                    // above all. Those come back when clients leave.
                    server = loop {
                        thread::sleep(RETRY);
                        if let Ok(server) = self::server(&self.listener) {
                            break server;
                        }
                    };
                }
            })?;
        Ok(())
    }
}

/// What answers on the address; the address itself stays taken whatever becomes of it.
fn server(listener: &TcpListener) -> io::Result<tiny_http::Server> {
    tiny_http::Server::from_listener(listener.try_clone()?, None).map_err(io::Error::other)
}

fn answer(request: Request, shared: &Shared) -> io::Result<()> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.respond(Response::from_string("only GET\n").with_status_code(405));
    }
    let path = request.url().split('?').next().unwrap_or_default();
    let (status, text, media) = match path {
        "/metrics" => {
            let text = metrics::text(&lock(shared));
            match text {
                Ok(text) => (200, text, metrics::MEDIA_TYPE),
                Err(_) => (500, "cannot be written\n".into(), "text/plain"),
            }
        }
        "/healthz" => state(lock(shared).is_healthy(), "no reading for too long\n"),
        "/readyz" => state(lock(shared).is_ready(), "nothing read yet\n"),
        "/" => (
            200,
            "zctrace: /metrics /healthz /readyz\n".into(),
            "text/plain",
        ),
        _ => (
            404,
            "not here: /metrics /healthz /readyz\n".into(),
            "text/plain",
        ),
    };
    let mut response = Response::from_string(text).with_status_code(status);
    if let Ok(header) = Header::from_bytes("Content-Type", media) {
        response.add_header(header);
    }
    request.respond(response)
}

fn state(good: bool, otherwise: &str) -> (u16, String, &'static str) {
    if good {
        (200, "ok\n".into(), "text/plain")
    } else {
        (503, otherwise.into(), "text/plain")
    }
}
