//! Reads a statement for the one thing that distribution by account asks: is the account of each table in it settled?

use std::collections::BTreeMap;

/// A table of a statement whose account nothing settles.
pub type Loose = String;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Sign(char),
    Group(Vec<Token>),
}

use Token::{Group, Sign, Word};

/// The tables of `text` that it does not bind to one account: neither to a parameter, nor by a join to a table that is
/// bound. `keyed` maps each table to the column that holds its account.
///
/// What a `with` or a subquery yields counts as bound, since the tables inside it are examined by themselves. So do the
/// targets of `insert`: no row comes without an account, and where the rows are from is examined.
pub fn loose_tables(text: &str, keyed: &BTreeMap<String, String>) -> Vec<Loose> {
    let mut loose = Vec::new();
    for statement in parse(text).split(|token| *token == Sign(';')) {
        examine(statement, keyed, &BTreeMap::new(), &mut loose);
    }
    loose
}

fn parse(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut open = vec![Vec::new()];
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let end_of =
            |is_in: &dyn Fn(char) -> bool| rest.iter().position(|c| !is_in(*c)).unwrap_or(rest.len());
        let is_word = |c: char| c.is_alphanumeric() || "_.$".contains(c);
        let taken = match rest {
            ['-', '-', ..] => end_of(&|c| c != '\n'),
            ['\'', ..] => {
                open.last_mut().unwrap().push(Word("'".to_owned()));
                rest[1..].iter().position(|c| *c == '\'').map_or(rest.len(), |end| end + 2)
            }
            // A part that the program fills in: columns, or a relation of its own.
            ['{', ..] => {
                open.last_mut().unwrap().push(Word("{}".to_owned()));
                end_of(&|c| c != '}') + 1
            }
            ['(' | '[', ..] => {
                open.push(Vec::new());
                1
            }
            [')' | ']', ..] => {
                let group = open.pop().unwrap();
                if open.is_empty() {
                    open.push(Vec::new());
                }
                open.last_mut().unwrap().push(Group(group));
                1
            }
            [c, ..] if is_word(*c) => {
                let length = end_of(&is_word);
                open.last_mut().unwrap().push(Word(rest[..length].iter().collect::<String>().to_lowercase()));
                length
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    open.last_mut().unwrap().push(Sign(*c));
                }
                1
            }
            [] => 1,
        };
        at += taken;
    }
    // A fragment may end inside of a parenthesis.
    while open.len() > 1 {
        let group = open.pop().unwrap();
        open.last_mut().unwrap().push(Group(group));
    }
    open.pop().unwrap()
}

fn word(token: Option<&Token>) -> &str {
    match token {
        Some(Word(word)) => word,
        _ => "",
    }
}

const SET_OPERATIONS: [&str; 3] = ["union", "except", "intersect"];

/// `outer` says of the names around this statement whether their account is settled.
fn examine(
    statement: &[Token],
    keyed: &BTreeMap<String, String>,
    outer: &BTreeMap<String, bool>,
    loose: &mut Vec<Loose>,
) {
    for select in statement.split(|token| SET_OPERATIONS.contains(&word(Some(token)))) {
        let tables = tables(select, keyed);
        let mut names = outer.clone();
        names.extend(tables.iter().map(|table| (table.alias.clone(), table.is_target)));
        let read: Vec<&Table> = tables.iter().filter(|table| !table.is_target).collect();
        let equal = equalities(select, &tables);
        // Equalities are followed until they settle nothing more.
        for _ in 0..=tables.len() {
            for (left, right) in &equal {
                for (one, other) in [(left, right), (right, left)] {
                    let settles = match other {
                        Side::Settled => true,
                        // A name that is no table is what a `with` or a subquery yields.
                        Side::Of(name) => names.get(name).copied().unwrap_or(true),
                        Side::Own | Side::Else => false,
                    };
                    match one {
                        Side::Of(name) if settles => names.entry(name.clone()).and_modify(|is| *is = true),
                        Side::Own if settles => {
                            // Without a name it can only mean the one table that is read here.
                            let [table] = read.as_slice() else { continue };
                            names.entry(table.alias.clone()).and_modify(|is| *is = true)
                        }
                        _ => continue,
                    };
                }
            }
        }
        loose.extend(tables.iter().filter(|table| !names[&table.alias]).map(|table| table.name.clone()));
        for group in groups(select) {
            examine(group, keyed, &names, loose);
        }
    }
}

fn groups(tokens: &[Token]) -> impl Iterator<Item = &[Token]> {
    tokens.iter().filter_map(|token| if let Group(inner) = token { Some(inner.as_slice()) } else { None })
}

struct Table {
    name: String,
    alias: String,
    key: String,
    /// The target of an `insert`.
    is_target: bool,
}

const BEFORE_A_TABLE: [&str; 6] = ["from", "join", "update", "into", "using", "only"];
const NO_ALIAS: [&str; 21] = [
    "where",
    "on",
    "set",
    "join",
    "left",
    "cross",
    "inner",
    "full",
    "group",
    "order",
    "limit",
    "select",
    "values",
    "using",
    "returning",
    "offset",
    "for",
    "union",
    "having",
    "then",
    "loop",
];

fn tables(select: &[Token], keyed: &BTreeMap<String, String>) -> Vec<Table> {
    let mut found = Vec::new();
    for (at, token) in select.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| select.get(at));
        let Some(key) = keyed.get(word(Some(token))) else { continue };
        if !BEFORE_A_TABLE.contains(&word(before)) && before != Some(&Sign(',')) {
            continue;
        }
        let next = word(select.get(at + 1));
        let alias = match next {
            "as" => word(select.get(at + 2)),
            "" => "",
            next if NO_ALIAS.contains(&next) => "",
            next => next,
        };
        let name = word(Some(token)).to_owned();
        let alias =
            if alias.is_empty() { name.split('.').next_back().unwrap().to_owned() } else { alias.to_owned() };
        found.push(Table { name, alias, key: key.clone(), is_target: word(before) == "into" });
    }
    found
}

/// What stands on one side of `=`.
#[derive(Clone, Debug)]
enum Side {
    /// A parameter or a constant.
    Settled,
    /// The account of what has this name.
    Of(String),
    /// `account` without a name.
    Own,
    Else,
}

fn side(token: Option<&Token>, tables: &[Table]) -> Side {
    // `(select $1)`: a parameter that the planner does not look into.
    if let Some(Group(inner)) = token
        && let [Word(verb), inner @ Word(_)] = inner.as_slice()
        && verb == "select"
    {
        return side(Some(inner), tables);
    }
    let word = word(token);
    if let Some((name, column)) = word.rsplit_once('.') {
        let is_key = match tables.iter().find(|table| table.alias == name) {
            Some(table) => column == table.key,
            None => ["account", "name"].contains(&column),
        };
        return if is_key { Side::Of(name.to_owned()) } else { Side::Else };
    }
    match word {
        "of_account" | "'" => Side::Settled,
        _ if word.starts_with('$') => Side::Settled,
        _ if tables.iter().any(|table| table.key == word) => Side::Own,
        _ => Side::Else,
    }
}

const AFTER_A_CONDITION: [&str; 17] = [
    "group",
    "order",
    "limit",
    "having",
    "returning",
    "offset",
    "for",
    "window",
    "join",
    "left",
    "cross",
    "inner",
    "full",
    "where",
    "on",
    "then",
    "loop",
];

/// The equalities that hold for every row: those that conditions join by `and`.
fn equalities(select: &[Token], tables: &[Table]) -> Vec<(Side, Side)> {
    let mut found = Vec::new();
    for (at, token) in select.iter().enumerate() {
        if !["where", "on"].contains(&word(Some(token))) {
            continue;
        }
        let rest = &select[at + 1..];
        let end = rest
            .iter()
            .position(|token| AFTER_A_CONDITION.contains(&word(Some(token))))
            .unwrap_or(rest.len());
        let condition = &rest[..end];
        if condition.iter().any(|token| word(Some(token)) == "or") {
            continue;
        }
        for (at, token) in condition.iter().enumerate() {
            let (before, after) = (at.checked_sub(1).and_then(|at| condition.get(at)), condition.get(at + 1));
            if *token != Sign('=') || matches!(before, Some(Sign(_))) {
                continue;
            }
            match (before, after) {
                // Rows: the account comes first in each key.
                (Some(Group(left)), Some(Group(right))) => {
                    found.push((side(left.first(), tables), side(right.first(), tables)));
                }
                _ => found.push((side(before, tables), side(after, tables))),
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(text: &str) -> Vec<Loose> {
        let keyed =
            [("voicenter.cdr", "account"), ("voicenter.calls", "account"), ("cdr_sync.account", "name")];
        loose_tables(text, &keyed.map(|(table, key)| (table.to_owned(), key.to_owned())).into())
    }

    #[test]
    fn a_table_without_its_account_is_found() {
        for text in [
            "select * from voicenter.cdr where call_id = $1",
            "select * from voicenter.cdr c where c.account = c.call_id",
            "select * from voicenter.cdr where account = any ($1)",
            "select * from voicenter.cdr where account <> $1",
            "select * from voicenter.cdr where account = $1 or call_id = $2",
            "delete from voicenter.cdr using unnest($1) k where k = call_id",
            "update voicenter.cdr c set account = $1",
            "with a as (select * from voicenter.cdr) select * from a where account = $1",
            "select $1 where exists (select from voicenter.cdr where call_id = $1) and account = $1",
            "select 1; select * from voicenter.cdr",
            "insert into x select * from voicenter.cdr -- where account = $1",
            "select * from voicenter.cdr where note = 'where account = $1'",
        ] {
            assert_eq!(loose(text), ["voicenter.cdr"], "{text}");
        }
    }

    #[test]
    fn each_table_of_a_join_is_looked_at() {
        let text = "select * from voicenter.cdr c join voicenter.calls d on d.call_id = c.call_id where c.account = $1";
        assert_eq!(loose(text), ["voicenter.calls"]);
        let text = "select * from cdr_sync.account a cross join lateral (select from voicenter.cdr c where c.account = a.name) x";
        assert_eq!(loose(text), ["cdr_sync.account", "voicenter.cdr"]);
        let text = "select * from voicenter.cdr where account = $1 union all select * from voicenter.calls";
        assert_eq!(loose(text), ["voicenter.calls"]);
    }

    #[test]
    fn a_settled_account_is_followed() {
        for text in [
            "select * from voicenter.cdr where account = $1 and (call_id = $2 or call_id = $3)",
            "select * from voicenter.cdr c join voicenter.calls d on d.account = c.account where d.account = of_account",
            "update voicenter.cdr as c set x = 1 from named n where c.account = n.account",
            "select * from voicenter.cdr c where c.account = (select $1) and c.call_id = $2",
            "insert into voicenter.calls (account, call_id) select $1, 'c'",
            "insert into voicenter.calls (account) select account from voicenter.cdr where account = $1 on conflict do nothing",
            "select from cdr_sync.account a cross join lateral (select from voicenter.cdr c where c.account = a.name) x where a.name = $1",
            "select from voicenter.cdr c where (c.account, c.call_id) = ($1, $2)",
        ] {
            assert_eq!(loose(text), Vec::<Loose>::new(), "{text}");
        }
    }
}
