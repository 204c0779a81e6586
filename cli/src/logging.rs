//! What the library logs, on standard error, one line each: `warning: …`. The server logs with times,
//! or as JSON.

use crate::arguments::{Cli, Command, LogFormat};
use crate::progress;
use std::fmt;
use std::io::{self, Write};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// Starts logging as the command line asks for it.
pub fn start(cli: &Cli) {
    if let Command::Serve(arguments) = &cli.command {
        return start_server(cli.global.verbose, arguments.log_format);
    }
    let level = match cli.global.verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // Only a second start in the same process fails, and then the first one holds.
    let _ =
        tracing_subscriber::fmt().with_max_level(level).event_format(Line).with_writer(|| BesideProgress).try_init();
}

fn start_server(verbose: u8, format: LogFormat) {
    let level = if verbose == 0 { Level::INFO } else { Level::DEBUG };
    // Libraries below have a lot to say that is no operator's business.
    let ours = Targets::new().with_default(LevelFilter::WARN);
    let ours = ["holotype", "holotype_cli", "holotype_core", "holotype_repo", "holotype_server"]
        .iter()
        .fold(ours, |targets, name| targets.with_target(*name, level));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => layer.with_target(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(ours)).try_init();
}

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let word = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            _ => "debug",
        };
        write!(writer, "holotype: {word}: ")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Standard error, without tearing a progress bar apart.
struct BesideProgress;

impl Write for BesideProgress {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        progress::beside(|| io::stderr().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
