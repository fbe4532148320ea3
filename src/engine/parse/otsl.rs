//! OTSL, the table language of DocTags: each cell begins with a tag that says what it is, each row ends with `<nl>`
//! (`docs/facts/engines.md`, "DocTags").

use super::html::escape;

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    /// `<fcel>`, `<ecel>`, `<srow>`.
    Data,
    /// `<ched>`, `<rhed>`.
    Header,
    /// `<lcel>`: the cell to the left goes on.
    Left,
    /// `<ucel>`: the cell above goes on.
    Up,
    /// `<xcel>`: the cell above and to the left goes on.
    Cross,
}

/// Tags of OTSL.
const CELLS: [(&str, Cell); 8] = [
    ("fcel", Cell::Data),
    ("ecel", Cell::Data),
    ("srow", Cell::Data),
    ("ched", Cell::Header),
    ("rhed", Cell::Header),
    ("lcel", Cell::Left),
    ("ucel", Cell::Up),
    ("xcel", Cell::Cross),
];

/// A table that is being read.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<(Cell, String)>>,
}

impl Table {
    /// Whether `tag` is one of OTSL's.
    pub fn knows(tag: &str) -> bool {
        tag == "nl" || CELLS.iter().any(|(name, _)| *name == tag)
    }

    /// Takes a tag, without its brackets.
    pub fn open(&mut self, tag: &str) {
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        if tag == "nl" {
            self.rows.push(Vec::new());
        } else if let (Some((_, cell)), Some(row)) = (CELLS.iter().find(|(name, _)| *name == tag), self.rows.last_mut())
        {
            row.push((*cell, String::new()));
        }
    }

    /// Takes text. Text that belongs to no cell makes one, and a cell that continues another is one of its own if it has
    /// text.
    pub fn text(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if self.rows.last().is_none_or(Vec::is_empty) {
            self.open("fcel");
        }
        if let Some((cell, content)) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            if matches!(cell, Cell::Left | Cell::Up | Cell::Cross) {
                *cell = Cell::Data;
            }
            content.push_str(text);
        }
    }

    /// The table as HTML. A cell that continues none is an empty one.
    pub fn to_html(&self) -> String {
        let cell_at = |row: usize, column: usize| self.rows.get(row).and_then(|row| row.get(column)).map(|cell| cell.0);
        let mut html = String::from("<table>");
        for (row, cells) in self.rows.iter().enumerate().filter(|(_, cells)| !cells.is_empty()) {
            html.push_str("<tr>");
            for (column, (cell, text)) in cells.iter().enumerate() {
                let continues = match cell {
                    Cell::Data | Cell::Header => false,
                    Cell::Left | Cell::Cross => column > 0,
                    Cell::Up => row > 0,
                };
                if continues {
                    continue;
                }
                let across = (column + 1..).take_while(|&next| cell_at(row, next) == Some(Cell::Left)).count() + 1;
                let down = (row + 1..).take_while(|&next| cell_at(next, column) == Some(Cell::Up)).count() + 1;
                let name = if *cell == Cell::Header { "th" } else { "td" };
                let span = |attribute: &str, number: usize| match number {
                    1 => String::new(),
                    number => format!(" {attribute}=\"{number}\""),
                };
                let (across, down) = (span("colspan", across), span("rowspan", down));
                html.push_str(&format!("<{name}{across}{down}>{}</{name}>", escape(text.trim())));
            }
            html.push_str("</tr>");
        }
        html + "</table>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(otsl: &str) -> String {
        let mut table = Table::default();
        for piece in otsl.split('<').skip(1) {
            let (tag, text) = piece.split_once('>').unwrap();
            table.open(tag);
            table.text(text);
        }
        table.to_html()
    }

    #[test]
    fn cells_rows_and_spans_are_read() {
        assert_eq!(
            html(
                "<ched>Nom<ched>Prix<lcel><nl><rhed>a < b<fcel>1<ecel><nl><ucel><fcel>2<fcel>3<nl>"
                    .replace("a < b", "a & b")
                    .as_str()
            ),
            "<table><tr><th>Nom</th><th colspan=\"2\">Prix</th></tr>\
             <tr><th rowspan=\"2\">a &amp; b</th><td>1</td><td></td></tr><tr><td>2</td><td>3</td></tr></table>"
        );
        assert_eq!(
            html("<fcel>1<lcel><nl><ucel><xcel><nl>"),
            "<table><tr><td colspan=\"2\" rowspan=\"2\">1</td></tr><tr></tr></table>"
        );
    }

    #[test]
    fn cells_that_continue_nothing_are_cells() {
        assert_eq!(html("<lcel>1<ucel>2<nl>"), "<table><tr><td>1</td><td>2</td></tr></table>");
        assert_eq!(html("<fcel>1<lcel>2<nl>3"), "<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>");
    }
}
