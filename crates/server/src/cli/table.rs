//! Tables of text for a terminal. Every cell may hold hostile text: it is made harmless here.

use std::fmt;

use tidegate_filter::check::Evidence;

/// Characters of a cell; longer ones end in an ellipsis.
const CELL_MAX: usize = 56;

/// A table with one line of heads.
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows. A head that begins with `#` stands over numbers, which are put to the right.
    pub(super) fn new<const COLUMNS: usize>(heads: [&'static str; COLUMNS]) -> Table {
        Table { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each head.
    pub(super) fn row<const COLUMNS: usize>(&mut self, cells: [&dyn fmt::Display; COLUMNS]) {
        self.rows.push(cells.iter().map(|cell| harmless(&cell.to_string())).collect());
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> =
            self.heads.iter().map(|head| head.trim_start_matches('#').chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, cells: &[&str], widths: &[usize]) -> fmt::Result {
        let mut line = String::from(" ");
        for ((cell, width), head) in cells.iter().zip(widths).zip(&self.heads) {
            line.push(' ');
            let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
            let is_number = head.starts_with('#');
            line.extend(is_number.then_some(blanks.as_str()));
            line.push_str(cell);
            line.extend((!is_number).then_some(blanks.as_str()));
            line.push(' ');
        }
        writeln!(f, "{}", line.trim_end())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let heads: Vec<&str> = self.heads.iter().map(|head| head.trim_start_matches('#')).collect();
        self.line(f, &heads, &widths)?;
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            self.line(f, &cells, &widths)?;
        }
        Ok(())
    }
}

fn harmless(text: &str) -> String {
    let text = Evidence::from(text).to_string();
    match text.char_indices().nth(CELL_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_cells_stay_in_their_place() {
        let mut table = Table::new(["name", "#n"]);
        table.row([&"a\u{1b}[2J\n\u{202e}b", &7]);
        table.row([&"x".repeat(80), &12345]);
        let text = table.to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
    }
}
