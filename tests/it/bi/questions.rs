//! The questions of docs/bi.md.

use std::fs;

pub struct Question {
    pub number: usize,
    pub heading: String,
    pub sql: String,
}

/// Every `sql` block of the page, under the heading `### N. …` that it stands below.
pub fn questions() -> Vec<Question> {
    let page = fs::read_to_string("docs/bi.md").unwrap();
    let mut heading = String::new();
    let (mut sql, mut found) = (None::<String>, Vec::new());
    for line in page.lines() {
        match (&mut sql, line) {
            (None, "```sql") => sql = Some(String::new()),
            (None, _) => heading = line.strip_prefix("### ").map_or(heading, str::to_owned),
            (Some(text), "```") => {
                let number = heading.split_once(". ").and_then(|(number, _)| number.parse().ok());
                let number = number.unwrap_or_else(|| panic!("SQL outside a question, under {heading}"));
                found.push(Question { number, heading: heading.clone(), sql: std::mem::take(text) });
                sql = None;
            }
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    found
}
