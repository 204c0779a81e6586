//! The holotype command; everything is in the library beside it.

fn main() -> std::process::ExitCode {
    holotype_cli::main()
}
