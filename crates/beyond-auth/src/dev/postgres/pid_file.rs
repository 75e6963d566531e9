//! `postmaster.pid`: what a server says about itself, and whether to believe it.

use std::{fs, path::Path};

/// The parts of the file that matter here. Lines: process id, data folder, start time, port, socket folder,
/// listen address, shared memory key, status (the last since version 10; source: `pidfile.h` of Postgres).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PidFile {
    pub pid: u32,
    /// Missing while the server has only begun to start.
    pub port: Option<u16>,
    /// Connections are taken.
    pub ready: bool,
}

impl PidFile {
    pub(super) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        // A server in single-user mode writes its id negative; it takes no connections.
        let pid = lines.first()?.trim_start_matches('-').parse().ok()?;
        let port = lines.get(3).and_then(|line| line.parse().ok()).filter(|port| *port != 0);
        Some(Self { pid, port, ready: lines.get(7) == Some(&"ready") })
    }

    /// Whether that process is a Postgres server of this data, and not one that was given a dead server's id.
    pub(super) fn is_server_of(&self, data: &Path) -> bool {
        if !super::process_exists(self.pid) {
            return false;
        }
        // A server's working folder is its data folder.
        if let Ok(folder) = fs::read_link(format!("/proc/{}/cwd", self.pid)) {
            return folder == data;
        }
        if let Ok(name) = fs::read_to_string(format!("/proc/{}/comm", self.pid)) {
            return name.trim() == "postgres";
        }
        // Without /proc (macOS).
        std::process::Command::new("ps")
            .args(["-o", "command=", "-p", &self.pid.to_string()])
            .output()
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_and_a_beginning_one_are_read() {
        let full = "417\n/data\n1700000000\n54321\n\n127.0.0.1\n  123  4\nready   \n";
        assert_eq!(PidFile::parse(full), Some(PidFile { pid: 417, port: Some(54_321), ready: true }));
        let starting = "417\n/data\n1700000000\n54321\n\n";
        assert_eq!(PidFile::parse(starting), Some(PidFile { pid: 417, port: Some(54_321), ready: false }));
        assert_eq!(PidFile::parse("417\n"), Some(PidFile { pid: 417, port: None, ready: false }));
        assert_eq!(PidFile::parse("rubbish"), None);
    }

    #[test]
    fn a_process_that_is_no_server_of_the_data_is_not_believed() {
        let data = tempfile::tempdir().unwrap();
        let ours = PidFile { pid: std::process::id(), port: None, ready: true };
        assert!(!ours.is_server_of(data.path()));
    }
}
