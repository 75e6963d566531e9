//! A network between the service and Postgres that can fail.

use std::net::SocketAddr;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// How the network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// Everything passes.
    Fine,
    /// Connections break, new ones are refused: the server is down.
    Refusing,
    /// Nothing passes and nobody is told: packets are lost. Connections caught in it stay dead.
    Silent,
}

/// Forwards connections to a Postgres server while the weather is fine. Stops with its last handle.
#[derive(Clone, Debug)]
pub struct Proxy {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
}

impl Proxy {
    /// A proxy to the server of this URL.
    pub async fn to(url: &SecretString) -> Self {
        let url = Url::parse(url.expose_secret()).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::Fine);
        tokio::spawn(accept(listener, address, target, seen));
        Self { address, weather: Arc::new(weather) }
    }

    /// The same URL, through this proxy.
    pub fn url(&self, url: &SecretString) -> SecretString {
        let mut url = Url::parse(url.expose_secret()).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        String::from(url).into()
    }

    /// Changes the weather and waits until new connections meet it.
    pub async fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
        let refusing = weather == Weather::Refusing;
        while TcpStream::connect(self.address).await.is_err() != refusing {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    target: String,
    mut weather: watch::Receiver<Weather>,
) {
    let mut listener = Some(listener);
    loop {
        let now = *weather.borrow_and_update();
        match (now, &listener) {
            (Weather::Refusing, _) => {
                listener = None;
                if weather.changed().await.is_err() {
                    return;
                }
            }
            (_, None) => listener = TcpListener::bind(address).await.ok(),
            (_, Some(open)) => {
                tokio::select! {
                    changed = weather.changed() => if changed.is_err() { return },
                    Ok((stream, _)) = open.accept() => {
                        tokio::spawn(forward(stream, target.clone(), weather.clone()));
                    }
                }
            }
        }
    }
}

/// One connection, until either side ends it or the weather changes.
async fn forward(mut here: TcpStream, target: String, mut weather: watch::Receiver<Weather>) {
    if *weather.borrow_and_update() == Weather::Fine {
        let Ok(mut there) = TcpStream::connect(&target).await else { return };
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut here, &mut there) => return,
            _ = weather.changed() => {}
        }
    }
    // What was caught in silence hears nothing for as long as the test lasts: no data, no end, no reset.
    let silent = *weather.borrow() == Weather::Silent;
    if silent {
        while weather.changed().await.is_ok() {}
    }
    drop(here);
}
