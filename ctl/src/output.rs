//! Rows as tables, JSON and CSV.

use std::io::Write;

use serde_json::{Map, Value};

use crate::Failure;
use crate::options::{Formatter, Options};

/// Writes rows of named values in the asked form. A pipe that closed ends it quietly.
pub(crate) fn rows(
    options: &Options,
    columns: &[&str],
    rows: &[Vec<Value>],
) -> Result<(), Failure> {
    let text = match options.formatter {
        Formatter::Json => json(columns, rows),
        Formatter::Csv => csv(columns, rows),
        Formatter::Table => table(columns, rows, options.no_table_headers || options.quiet),
        Formatter::PrettyTable => pretty(columns, rows, options.no_table_headers),
    };
    write(&text)
}

/// Writes a text to standard output.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    write_more(text).map(|_| ())
}

/// Writes a text to standard output; false when nobody reads it any more.
pub(crate) fn write_more(text: &str) -> Result<bool, Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Broken(error.to_string())),
    }
}

fn json(columns: &[&str], rows: &[Vec<Value>]) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let pairs = columns.iter().zip(row);
            Value::Object(
                pairs
                    .map(|(name, value)| ((*name).to_owned(), value.clone()))
                    .collect::<Map<_, _>>(),
            )
        })
        .collect();
    format!("{}\n", Value::Array(rows))
}

/// A value as people read it in a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn csv(columns: &[&str], rows: &[Vec<Value>]) -> String {
    let quote = |text: &str| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let mut out = columns
        .iter()
        .map(|name| quote(name))
        .collect::<Vec<_>>()
        .join(",");
    out.push('\n');
    for row in rows {
        let cells: Vec<String> = row.iter().map(|value| quote(&cell(value))).collect();
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn table(columns: &[&str], rows: &[Vec<Value>], bare: bool) -> String {
    let mut out = String::new();
    if !bare && !rows.is_empty() {
        out.push_str(&columns.join("\t"));
        out.push('\n');
    }
    for row in rows {
        out.push_str(&row.iter().map(cell).collect::<Vec<_>>().join("\t"));
        out.push('\n');
    }
    out
}

fn pretty(columns: &[&str], rows: &[Vec<Value>], bare: bool) -> String {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(cell).collect())
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let longest = cells
                .iter()
                .map(|row| row[i].chars().count())
                .max()
                .unwrap_or(0);
            longest.max(name.chars().count())
        })
        .collect();
    let line = |left: &str, middle: &str, right: &str| {
        let parts: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", parts.join(middle))
    };
    let row = |cells: &[String]| {
        let parts: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!(" {text}{} ", " ".repeat(width - text.chars().count())))
            .collect();
        format!("│{}│\n", parts.join("│"))
    };
    let mut out = line("┌", "┬", "┐");
    if !bare {
        let names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        out.push_str(&row(&names));
        out.push_str(&line("├", "┼", "┤"));
    }
    cells.iter().for_each(|cells| out.push_str(&row(cells)));
    out.push_str(&line("└", "┴", "┘"));
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample() -> Vec<Vec<Value>> {
        vec![
            vec![json!("a,b"), json!(3)],
            vec![json!("tab\there"), json!({"x": 1})],
        ]
    }

    #[test]
    fn each_form() {
        let columns = ["name", "n"];
        assert_eq!(
            table(&columns, &sample(), false),
            "name\tn\na,b\t3\ntab here\t{\"x\":1}\n"
        );
        assert_eq!(table(&columns, &[], false), "");
        assert_eq!(
            csv(&columns, &sample()),
            "name,n\n\"a,b\",3\ntab here,\"{\"\"x\"\":1}\"\n"
        );
        assert_eq!(
            json(&columns, &sample()[..1]),
            "[{\"n\":3,\"name\":\"a,b\"}]\n"
        );
        let drawn = pretty(&columns, &sample()[..1], false);
        assert_eq!(
            drawn,
            "┌──────┬───┐\n│ name │ n │\n├──────┼───┤\n│ a,b  │ 3 │\n└──────┴───┘\n"
        );
    }
}
