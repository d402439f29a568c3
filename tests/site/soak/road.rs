//! The way from the server to the platform. It can be closed, or carry answers one byte at a time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::drill::within;

/// Between two bytes. Any answer of the platform is longer than 100 bytes, so none arrives within a deadline.
const DRIP: Duration = Duration::from_millis(50);

/// A port of its own address: while it is closed, nobody else takes it.
const ANY_PORT: &str = "127.0.0.77:0";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Open,
    /// Connections are refused, and those that were there are gone.
    Closed,
    Dripping,
}

/// A relay in front of the platform.
#[derive(Debug)]
pub(super) struct Road {
    pub(super) address: SocketAddr,
    mode: watch::Sender<Mode>,
    running: JoinHandle<()>,
}

impl Road {
    pub(super) async fn open(platform: SocketAddr) -> Self {
        let listener = TcpListener::bind(ANY_PORT).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, told) = watch::channel(Mode::Open);
        let running = tokio::spawn(run(listener, platform, told));
        Self { address, mode, running }
    }

    /// Changes what the road does, and waits until it does so.
    pub(super) async fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
        let is_so = async || TcpStream::connect(self.address).await.is_err() == (mode == Mode::Closed);
        within(Duration::from_secs(5), "the road is open or closed", is_so).await;
    }

    /// Ends all connections, as a platform does with idle ones.
    pub(super) async fn hang_up(&self) {
        self.set(Mode::Closed).await;
        self.set(Mode::Open).await;
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn run(listener: TcpListener, platform: SocketAddr, mut mode: watch::Receiver<Mode>) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    let mut carried = JoinSet::new();
    loop {
        if *mode.borrow_and_update() == Mode::Closed {
            listener = None;
            carried.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.unwrap());
        }
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            stream = accept(listener.as_ref()) => {
                carried.spawn(carry(stream, platform, mode.clone()));
            }
            Some(_) = carried.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => listener.accept().await.unwrap().0,
        None => std::future::pending().await,
    }
}

/// Both ways, until either side has enough.
async fn carry(mut server: TcpStream, platform: SocketAddr, mode: watch::Receiver<Mode>) -> std::io::Result<()> {
    let mut platform = TcpStream::connect(platform).await?;
    let (mut from_server, mut to_server) = server.split();
    let (mut from_platform, mut to_platform) = platform.split();
    let answers = async {
        let mut buffer = [0; 4096];
        loop {
            let len = from_platform.read(&mut buffer).await?;
            let mut rest = buffer.get(..len).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            while *mode.borrow() == Mode::Dripping && rest.len() > 1 {
                to_server.write_all(&rest[..1]).await?;
                rest = &rest[1..];
                sleep(DRIP).await;
            }
            to_server.write_all(rest).await?;
        }
    };
    tokio::select! {
        result = answers => result,
        result = copy(&mut from_server, &mut to_platform) => result.map(drop),
    }
}
