//! Standard output: lines and tables for people, or one JSON value.

use crate::exit::Failure;
use crate::progress;
use serde::Serialize;
use std::io::{self, Write};

/// Writes to standard output. Where nobody reads it any more (`| head`), nothing is missing.
pub fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        tracing::error!("could not write to standard output: {error}");
    }
}

/// One line.
pub fn line(text: impl AsRef<str>) {
    print(&format!("{}\n", text.as_ref()));
}

/// One JSON value.
pub fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(text),
        Err(error) => tracing::error!("could not write the result as JSON: {error}"),
    }
}

/// Says why a command failed.
pub fn failure(failure: &Failure, as_json: bool) {
    progress::beside(|| {
        // Where standard error is closed, the exit code still tells.
        let _ = writeln!(io::stderr(), "holotype: {failure}");
    });
    if as_json {
        failure_json(failure);
    }
}

/// The same for programs.
pub fn failure_json(failure: &Failure) {
    json(&serde_json::json!({ "error": failure.to_string(), "kind": failure.kind() }));
}

/// Rows under headings, in columns.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// A table without headings, for names and values.
    pub fn plain() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<const COLUMNS: usize>(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells.into_iter().map(|cell| cell.replace(char::is_control, "?")).collect());
    }

    /// Adds a name and its value.
    pub fn value(&mut self, name: &str, value: impl Into<String>) {
        self.row([name.to_owned(), value.into()]);
    }

    /// The text; columns are as wide as their widest cell.
    pub fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// Prints it.
    pub fn print(&self) {
        print(&self.render());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "SIZE"]);
        table.row(["long name".into(), "1".into()]);
        table.row(["ü\u{1b}".into(), "2".into()]);
        assert_eq!(table.render(), "NAME       SIZE\nlong name  1\nü?         2\n");
    }
}
