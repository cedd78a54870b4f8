//! The `landfall` command.

fn main() -> std::process::ExitCode {
    landfall::cli::main()
}
