//! The page: 100 columns, nothing longer, and no control characters of somebody else's.

/// Columns of the page.
pub const WIDTH: usize = 100;
/// Columns of one number in a table.
const CELL: usize = 11;
/// Columns of what stands before the numbers of a table.
pub const NAME: usize = 32;

/// What stands behind an amount.
const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];

/// Text that grows by lines no longer than [`WIDTH`].
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    /// A line, cut where it is too long.
    pub fn line(&mut self, indent: usize, line: &str) {
        let line = clean(line);
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(&cut(line.trim_end(), WIDTH.saturating_sub(indent)));
        self.text.push('\n');
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A paragraph: a word or two, then text beside it that is broken between words.
    pub fn paragraph(&mut self, indent: usize, label: &str, text: &str) {
        let width = WIDTH.saturating_sub(indent + label.chars().count());
        let mut start = label.to_owned();
        for line in broken(&clean(text), width) {
            let line = format!("{start}{line}");
            self.line(indent, &line);
            start = " ".repeat(label.chars().count());
        }
    }

    /// A row of a table: a name and numbers, each right-aligned in its column.
    pub fn row<'a>(&mut self, indent: usize, name: &str, cells: impl IntoIterator<Item = &'a str>) {
        let width = NAME.saturating_sub(indent);
        let mut row = format!("{:width$}", cut(&clean(name), width));
        for cell in cells {
            row.push_str(&format!("{cell:>CELL$}"));
        }
        self.line(indent, &row);
    }
}

/// `text` without control characters: commands and names come from the traced process, and must
/// not speak to the reader's terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `text` in at most `width` columns.
#[must_use]
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// `text` in lines of at most `width` columns, broken between words where that is possible.
fn broken(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in words(text) {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let used = lines.last().map_or(0, |line| line.chars().count());
            let space = usize::from(used > 0);
            if used + space + rest.len().min(width) > width {
                lines.push(String::new());
                continue;
            }
            let piece: String = rest.drain(..rest.len().min(width)).collect();
            if let Some(line) = lines.last_mut() {
                line.push_str(&" ".repeat(space));
                line.push_str(&piece);
            }
        }
    }
    lines
}

/// The words of `text`; an amount and its unit are one.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(amount) if UNITS.contains(&word.trim_end_matches([',', ';', ':', '.', ')'])) => {
                amount.push(' ');
                amount.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_page_whatever_it_is_given() {
        let mut page = Page::default();
        page.line(4, &"x".repeat(300));
        page.paragraph(2, "Label: ", &format!("some words and {} more", "y".repeat(250)));
        page.row(2, &"name ".repeat(20), ["1.0 MiB"; 6]);
        let text = page.finish();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert_eq!(text.matches('y').count(), 250, "a paragraph loses nothing");
    }

    #[test]
    fn a_paragraph_hangs_beside_its_label() {
        let mut page = Page::default();
        page.paragraph(2, "Do: ", &"word ".repeat(30));
        let text = page.finish();
        let mut lines = text.lines();
        assert!(lines.next().unwrap().starts_with("  Do: word"));
        assert!(lines.next().unwrap().starts_with("      word"));
    }

    #[test]
    fn an_amount_stays_beside_its_unit() {
        let text = format!("{} 96.0 MiB, and more", "x".repeat(WIDTH - 5));
        let mut page = Page::default();
        page.paragraph(0, "", &text);
        assert!(page.finish().ends_with("\n96.0 MiB, and more\n"));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let mut page = Page::default();
        page.line(0, "a\u{1b}[31mb\nc");
        page.paragraph(0, "", "d\u{7}e");
        assert_eq!(page.finish(), "a\u{fffd}[31mb\u{fffd}c\nd\u{fffd}e\n");
    }
}
