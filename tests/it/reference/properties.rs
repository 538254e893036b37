//! Whatever lists come in whatever order: intervals of one id never overlap, and nothing is believed that contradicts itself.

use std::collections::BTreeMap;

use cdr_sync::reference::{
    Comparison, Doubt, Entry, KnownRows, List, ListKind, OpenRow, Values, compare, decode,
};
use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Map, json};

fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// The tables, as the store keeps them.
#[derive(Clone, Default)]
struct Tables {
    known: KnownRows,
    /// Id, begin and end of each interval that is closed, and the begins of the open ones.
    closed: Vec<(String, DateTime<Utc>, DateTime<Utc>)>,
    begins: BTreeMap<String, DateTime<Utc>>,
}

impl Tables {
    fn apply(&mut self, comparison: Comparison, at: DateTime<Utc>) {
        for id in &comparison.close {
            assert!(self.known.open.remove(id).is_some(), "it closes what is not open");
            self.closed.push((id.clone(), self.begins.remove(id).unwrap(), at));
            self.known.newest = self.known.newest.max(Some(at));
        }
        for new in comparison.open {
            assert!(self.known.open.insert(new.id.clone(), new.row).is_none(), "two intervals are open");
            self.begins.insert(new.id, at);
            self.known.newest = self.known.newest.max(Some(at));
        }
        for (id, extra) in comparison.extra {
            self.known.open.get_mut(&id).unwrap().extra = extra;
        }
    }

    fn follow(&mut self, list: &List, at: DateTime<Utc>) -> Option<Doubt> {
        let comparison = compare(&self.known, list, at);
        let doubt = comparison.doubt;
        let rows = comparison.rows_after(&self.known);
        self.apply(comparison, at);
        assert_eq!(self.known.open.len(), rows);
        doubt
    }

    fn assert_no_overlap(&self) {
        for (at, (id, from, to)) in self.closed.iter().enumerate() {
            assert!(from < to, "an interval is empty or turned round");
            assert!(self.begins.get(id).is_none_or(|begin| begin >= to), "an open one overlaps");
            for (_, other_from, other_to) in self.closed[at + 1..].iter().filter(|other| other.0 == *id) {
                assert!(to <= other_from || other_to <= from, "two of {id} overlap");
            }
        }
    }
}

/// An entry as a test writes it: id, name, user, something of the moment.
type WrittenEntry = (String, Option<String>, Option<String>, Option<u8>);

/// A list as a test writes it. Lists themselves are never printed.
#[derive(Clone, Debug)]
struct Written {
    entries: Vec<WrittenEntry>,
    columns: Vec<&'static str>,
    unusable: usize,
}

impl Written {
    fn list(&self) -> List {
        let entry = |(id, name, user, extra): &WrittenEntry| {
            let extra = extra.map(|extra| ("of_the_moment".to_owned(), json!(extra)));
            Entry { extra: extra.into_iter().collect(), ..extension(id, name.as_deref(), user.as_deref()) }
        };
        let columns = self.columns.iter().copied().collect();
        List { entries: self.entries.iter().map(entry).collect(), columns, unusable: self.unusable }
    }
}

fn written() -> impl Strategy<Value = Written> {
    let name = prop::option::of("[ab]");
    let entry = ("[A-F]", name.clone(), name, prop::option::of(0..3u8));
    let columns = prop::sample::select(vec![vec!["name", "user_name"], vec!["name"]]);
    (prop::collection::vec(entry, 0..8), columns, prop::sample::select(vec![0, 0, 0, 1]))
        .prop_map(|(entries, columns, unusable)| Written { entries, columns, unusable })
}

/// Lists with the seconds between them; clocks are set back now and then.
fn history() -> impl Strategy<Value = Vec<(Written, i64)>> {
    prop::collection::vec((written(), prop::sample::select(vec![60i64, 60, 60, 1, 0, -200])), 1..12)
}

fn tables_after(history: &[(Written, i64)]) -> Tables {
    let (mut tables, mut now) = (Tables::default(), 0);
    for (written, step) in history {
        now += step;
        tables.follow(&written.list(), at(now));
        tables.assert_no_overlap();
    }
    tables
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn intervals_of_one_id_never_overlap(history in history()) {
        tables_after(&history);
    }

    #[test]
    fn the_same_list_again_changes_nothing(history in history(), last in written()) {
        let mut tables = tables_after(&history);
        let last = last.list();
        tables.follow(&last, at(100_000));
        let again = compare(&tables.known, &last, at(100_060));
        prop_assert!(again.close.is_empty() && again.open.is_empty() && again.extra.is_empty());
    }

    #[test]
    fn time_that_runs_backwards_changes_nothing(history in history(), last in written(), back in 0i64..100_000) {
        let tables = tables_after(&history);
        let last = last.list();
        if let Some(newest) = tables.known.newest {
            let comparison = compare(&tables.known, &last, newest - chrono::TimeDelta::seconds(back));
            prop_assert!(comparison.close.is_empty() && comparison.open.is_empty());
        }
    }

    #[test]
    fn the_order_of_entries_does_not_matter(history in history(), last in written()) {
        let tables = tables_after(&history);
        let last = last.list();
        let mut reversed = last.clone();
        reversed.entries.reverse();
        prop_assert!(compare(&tables.known, &last, at(100_000)) == compare(&tables.known, &reversed, at(100_000)));
    }

    #[test]
    fn a_list_with_less_than_half_of_what_is_known_closes_and_opens_nothing(first in written(), second in written()) {
        let (mut tables, second) = (Tables::default(), second.list());
        tables.follow(&first.list(), at(0));
        let known = tables.known.open.len();
        let ids: std::collections::BTreeSet<_> = second.entries.iter().map(|entry| &entry.id).collect();
        let found = tables.known.open.keys().filter(|id| ids.contains(id)).count();
        let comparison = compare(&tables.known, &second, at(60));
        if ids.is_empty() || found * 2 < known {
            prop_assert!(comparison.doubt.is_some() && comparison.close.is_empty() && comparison.open.is_empty());
        } else {
            prop_assert!(comparison.doubt.is_none());
            let open = ids.len() + if second.unusable > 0 { known - found } else { 0 };
            prop_assert_eq!(comparison.rows_after(&tables.known), open);
        }
    }

    #[test]
    fn any_text_is_decoded_or_refused(
        begin in prop::sample::select(vec!["", "{\"EXTENSIONS\":[{\"SIP\":", "{\"EXTENSIONS\":[", "{\"ERR\":", "[[[", "{\"$serde_json::private::Number\":"]),
        rest in "\\PC{0,60}",
    ) {
        let _ = decode(ListKind::Extensions, &format!("{begin}{rest}"));
    }
}

fn extension(id: &str, name: Option<&str>, user: Option<&str>) -> Entry {
    let mut values: Values = ListKind::Extensions.columns().map(|column| (column, None)).collect();
    values.insert("name", name.map(str::to_owned));
    values.insert("user_name", user.map(str::to_owned));
    Entry { id: id.into(), values, extra: Map::new() }
}

fn whole(entries: Vec<Entry>) -> List {
    List { entries, columns: ["name", "user_name"].into(), unusable: 0 }
}

fn shown(tables: &Tables) -> Vec<String> {
    let row = |(id, row): (&String, &OpenRow)| {
        format!(
            "{id} {} {}",
            row.values["name"].as_deref().unwrap_or("-"),
            row.values["user_name"].as_deref().unwrap_or("-")
        )
    };
    tables.known.open.iter().map(row).collect()
}

#[test]
fn entries_with_one_id_agree_or_leave_things_as_they_are() {
    let mut tables = Tables::default();
    let list = whole(vec![extension("A", Some("a"), Some("x")), extension("A", Some("a"), Some("y"))]);
    assert_eq!(tables.follow(&list, at(0)), None);
    assert_eq!(shown(&tables), ["A a -"], "what they agree on is known");
    assert_eq!(tables.follow(&whole(vec![extension("A", Some("b"), Some("x"))]), at(60)), None);
    assert_eq!(tables.follow(&list, at(120)), None);
    assert_eq!(shown(&tables), ["A a x"], "the user is in doubt, the name is not");
    let comparison = compare(&tables.known, &list, at(180));
    assert_eq!((comparison.ambiguous, comparison.open.len()), (1, 0));
}

#[test]
fn a_column_that_no_entry_mentions_stays_as_it_is() {
    let mut tables = Tables::default();
    tables.follow(&whole(vec![extension("A", Some("a"), Some("x"))]), at(0));
    let mut without = whole(vec![extension("A", Some("b"), None)]);
    without.columns.remove("user_name");
    tables.follow(&without, at(60));
    assert_eq!(shown(&tables), ["A b x"]);
    tables.follow(&whole(vec![extension("A", Some("b"), None)]), at(120));
    assert_eq!(shown(&tables), ["A b -"], "mentioned and empty is empty");
}

#[test]
fn the_list_of_another_company_is_not_believed_however_long_it_is() {
    let mut tables = Tables::default();
    tables.follow(&whole(["A", "B", "C"].map(|id| extension(id, None, None)).into()), at(0));
    let other = whole(["A", "E", "F", "G", "H"].map(|id| extension(id, None, None)).into());
    assert_eq!(tables.follow(&other, at(60)), Some(Doubt::Shrunk { known: 3, found: 1 }));
    let half = whole(["A", "B", "G"].map(|id| extension(id, None, None)).into());
    assert_eq!(tables.follow(&half, at(120)), None);
    assert_eq!(shown(&tables), ["A - -", "B - -", "G - -"]);
}
