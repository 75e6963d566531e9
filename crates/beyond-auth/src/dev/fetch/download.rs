//! One file over HTTP, and the check that any file is the pinned one.

use std::{
    error::Error as _,
    fmt::Write as _,
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use tokio::{fs::File, io::AsyncWriteExt as _};
use url::Url;

use crate::dev::progress::Progress;

/// Far above any pinned artefact (the largest is 55 MB): an endless answer must not fill the disk.
const LARGEST: u64 = 256 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two pieces of the body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a file did not come, or is not the one wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Answered, but not with the file.
    #[error("answered {0}")]
    Status(u16),
    /// No answer, or it broke off.
    #[error("{0}")]
    Transport(String),
    /// Fewer or more bytes than announced or allowed.
    #[error("the file is incomplete or too large ({got} bytes)")]
    Length {
        /// Bytes received.
        got: u64,
    },
    /// Other bytes than pinned.
    #[error("the file is not the expected one: its SHA-256 is {got}, not {expected}")]
    WrongHash {
        /// Of what came, lower-case hex.
        got: String,
        /// As compiled in.
        expected: String,
    },
    /// The file could not be written or read here.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        // The address may carry a mirror's password, and is named by the caller without it.
        let error = error.without_url();
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        Self::Transport(text)
    }
}

/// Gets `url` into the new file `to` and checks it; what does not pass is removed again.
pub(super) async fn download(
    url: &Url,
    to: &Path,
    sha256: &str,
    what: &str,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let outcome = receive(url, to, what, progress).await;
    progress.end();
    let outcome = match outcome {
        Ok(got) if got == sha256 => return Ok(()),
        Ok(got) => Error::WrongHash { got, expected: sha256.to_owned() },
        Err(error) => error,
    };
    let _ = tokio::fs::remove_file(to).await;
    Err(outcome)
}

async fn receive(url: &Url, to: &Path, what: &str, progress: &dyn Progress) -> Result<String, Error> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        // A mirror may be plain HTTP inside a closed network (the hash decides), the releases may not.
        .https_only(url.scheme() == "https")
        .user_agent(concat!("beyond-auth/", env!("CARGO_PKG_VERSION")))
        .build()?;
    let mut response = client.get(url.clone()).send().await?;
    if !response.status().is_success() {
        return Err(Error::Status(response.status().as_u16()));
    }
    let announced = response.content_length();
    progress.begin(what, announced);
    let mut file = File::create(to).await?;
    let mut digest = Context::new(&SHA256);
    let mut got = 0;
    while let Some(piece) = response.chunk().await? {
        got += piece.len() as u64;
        if got > LARGEST {
            return Err(Error::Length { got });
        }
        digest.update(&piece);
        file.write_all(&piece).await?;
        progress.advance(got);
    }
    if announced.is_some_and(|announced| announced != got) {
        return Err(Error::Length { got });
    }
    file.flush().await?;
    Ok(hex(digest.finish().as_ref()))
}

/// Checks a file that another program downloaded.
pub(super) fn verify(file: &Path, sha256: &str) -> Result<(), Error> {
    let mut file = std::fs::File::open(file)?;
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => digest.update(&buffer[..read]),
        }
    }
    let got = hex(digest.finish().as_ref());
    if got == sha256 { Ok(()) } else { Err(Error::WrongHash { got, expected: sha256.to_owned() }) }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::dev::progress::Silent;

    /// Answers one request with exactly these bytes and closes.
    async fn stub(answer: Vec<u8>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/file.tar.gz", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        Url::parse(&url).unwrap()
    }

    fn ok(length: usize, body: &[u8]) -> Vec<u8> {
        let mut answer =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n").into_bytes();
        answer.extend_from_slice(body);
        answer
    }

    /// SHA-256 of `abc`, from FIPS 180-4's examples.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    async fn attempt(answer: Vec<u8>) -> (Result<(), Error>, Option<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("file");
        let outcome = download(&stub(answer).await, &to, ABC, "Fetching", &Silent).await;
        (outcome, std::fs::read(to).ok())
    }

    #[tokio::test]
    async fn the_pinned_file_is_kept() {
        let (outcome, file) = attempt(ok(3, b"abc")).await;
        outcome.unwrap();
        assert_eq!(file.as_deref(), Some(b"abc".as_slice()));
    }

    #[tokio::test]
    async fn other_bytes_are_refused_and_removed() {
        let (outcome, file) = attempt(ok(3, b"abd")).await;
        assert!(matches!(outcome, Err(Error::WrongHash { .. })), "{outcome:?}");
        assert_eq!(file, None);
    }

    #[tokio::test]
    async fn a_file_that_breaks_off_is_refused_and_removed() {
        let (outcome, file) = attempt(ok(300, b"abc")).await;
        assert!(matches!(outcome, Err(Error::Transport(_) | Error::Length { .. })), "{outcome:?}");
        assert_eq!(file, None);
    }

    #[tokio::test]
    async fn a_missing_file_is_told_by_its_status() {
        let (outcome, file) = attempt(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
        assert!(matches!(outcome, Err(Error::Status(404))), "{outcome:?}");
        assert_eq!(file, None);
    }

    #[tokio::test]
    async fn a_closed_port_is_told_without_the_address() {
        let url = Url::parse("http://user:hunter2@127.0.0.1:1/x").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let error = download(&url, &folder.path().join("x"), ABC, "Fetching", &Silent).await.unwrap_err();
        assert!(matches!(error, Error::Transport(_)));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn a_file_on_disk_is_checked_alike() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "abc").unwrap();
        verify(&file, ABC).unwrap();
        std::fs::write(&file, "abd").unwrap();
        assert!(matches!(verify(&file, ABC), Err(Error::WrongHash { .. })));
    }
}
