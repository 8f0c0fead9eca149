//! Clients that ask servers for the same answer again and again.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

/// Connections at once.
const CONNECTIONS: u32 = 8;
/// How long a server may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// An answer is over when nothing has come for so long.
const OVER: Duration = Duration::from_millis(300);

/// What is asked, where.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) port: u16,
    pub(crate) bytes: Vec<u8>,
}

/// How it went.
pub(crate) struct Answered {
    pub(crate) requests: u32,
    pub(crate) seconds: f64,
    /// How long each answer took, in seconds, the shortest first.
    pub(crate) latencies: Vec<f64>,
}

impl Answered {
    /// The time within which this part of all answers came, in seconds.
    pub(crate) fn within(&self, part: f64) -> f64 {
        let last = self.latencies.len() - 1;
        self.latencies[(last as f64 * part) as usize]
    }
}

impl Request {
    fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).context("connecting")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// How long the answer is, in bytes: it is the same each time.
    pub(crate) fn answer(&self) -> Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.write_all(&self.bytes)?;
        let mut answer = Vec::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(some) => answer.extend_from_slice(&buffer[..some]),
                Err(_) if !answer.is_empty() => break,
                Err(error) => return Err(error).context("waiting for an answer"),
            }
            stream.set_read_timeout(Some(OVER))?;
        }
        Ok(answer)
    }

    /// Asks so often, over several connections at once. Every answer has this length.
    pub(crate) fn ask(&self, requests: u32, length: usize) -> Result<Answered> {
        let each = requests / CONNECTIONS;
        let begin = Instant::now();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let request = self.clone();
                thread::spawn(move || request.ask_one_by_one(each, length))
            })
            .collect();
        let mut latencies = Vec::new();
        for client in clients {
            latencies.extend(client.join().expect("a client does not panic")?);
        }
        let seconds = begin.elapsed().as_secs_f64();
        ensure!(!latencies.is_empty(), "nothing was asked");
        latencies.sort_by(f64::total_cmp);
        Ok(Answered {
            requests: each * CONNECTIONS,
            seconds,
            latencies,
        })
    }

    fn ask_one_by_one(&self, requests: u32, length: usize) -> Result<Vec<f64>> {
        let mut stream = self.connect()?;
        let mut answer = vec![0; length];
        let mut latencies = Vec::with_capacity(requests as usize);
        for _ in 0..requests {
            let begin = Instant::now();
            stream.write_all(&self.bytes)?;
            stream.read_exact(&mut answer)?;
            latencies.push(begin.elapsed().as_secs_f64());
        }
        Ok(latencies)
    }
}
