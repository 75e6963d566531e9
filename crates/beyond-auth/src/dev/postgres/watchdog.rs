//! Stops Postgres when this process is gone, however it went.
//!
//! A shell waits at the end of a pipe whose other end only this process holds. The kernel closes that end
//! even after `kill -9`, and the shell then stops the server. It sits in a process group of its own, so
//! Ctrl-C in a terminal does not take it first, and it holds the folder's lock until it is done, so that the
//! next run waits for a server that is still stopping.

use std::{
    fs::File,
    io,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use std::os::unix::process::CommandExt as _;

/// `$1` the data folder, `$2` the server's process id, `$3` a folder to remove afterwards or nothing.
///
/// The process id counts only while the server's own pid file names it: an id can be given to another
/// process later. A server that has only just been started has not written the file yet.
const SCRIPT: &str = r#"
trap '' INT HUP
read -r _
file=$1/postmaster.pid
ours() { first=; read -r first 2>/dev/null <"$file"; [ "$first" = "$2" ]; }
tries=20
until ours "$@" || [ $tries = 0 ] || ! kill -0 "$2" 2>/dev/null; do tries=$((tries - 1)); sleep 0.1; done
if ours "$@"; then
    kill -INT "$2"
    tries=100
    while ours "$@" && kill -0 "$2" 2>/dev/null; do
        tries=$((tries - 1))
        if [ $tries = 0 ]; then kill -QUIT "$2"; fi
        sleep 0.1
    done
fi
if [ -n "$3" ]; then rm -rf -- "$3"; fi
"#;

/// The shell, for as long as this value lives; dropping it stops the server.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Watchdog {
    pub(super) fn spawn(
        data: &Path,
        server: u32,
        remove: Option<&Path>,
        lock: Option<&File>,
    ) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(SCRIPT).arg("beyond-auth-watchdog").arg(data).arg(server.to_string());
        command.arg(remove.unwrap_or(Path::new(""))).current_dir("/").process_group(0);
        // The shell writes nothing there; it only keeps the lock's file open.
        let lock = lock.map(File::try_clone).transpose()?.map_or_else(Stdio::null, Stdio::from);
        let mut child = command.stdin(Stdio::piped()).stdout(lock).stderr(Stdio::null()).spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Lets the shell go about its end of the work; whether it is done.
    pub(super) fn release(&mut self) -> bool {
        self.pipe = None;
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends the shell without its doing anything: the server it was for has not come up.
    pub(super) fn dismiss(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
