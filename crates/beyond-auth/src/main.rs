//! The `beyond-auth` binary: parses, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

use beyond_auth::cli;
use mimalloc::MiMalloc;

/// Each request allocates and frees many small pieces, often on different threads: an eighth less processor time than
/// with the C library's. Without huge pages, which would double the memory for nothing (bench/RESULTS.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    // One cryptographic backend for everything that speaks TLS. An error means that it is installed already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(&cli::Failure::Runtime(format!("cannot start threads: {error}"))),
    };
    match runtime.block_on(cli::run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(&failure),
    }
}

fn report(failure: &cli::Failure) -> ExitCode {
    use std::io::Write as _;
    // Nobody is left to tell when standard error is closed.
    drop(writeln!(std::io::stderr(), "error: {failure}"));
    failure.exit_code()
}
