//! A list of records of which one is no JSON: its neighbours are taken, and it is rejected.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::text::{quoted, readable};

/// The separators looked through for the end of one record that holds objects itself.
const MOST_PIECES: usize = 64;
/// The brackets looked at, from the end, for the one that closes the list.
const MOST_ENDS: usize = 8;

/// What could be recovered.
#[derive(Debug)]
pub(super) struct Recovered<'a> {
    /// The envelope with an empty list.
    pub envelope: String,
    /// The list's items; those that are no JSON as they came.
    pub items: Vec<Cow<'a, str>>,
    /// Whether the last item is whole, or broken before its end: else the body may have been cut there.
    pub ends_well: bool,
}

pub(super) fn recovered(text: &str) -> Option<Recovered<'_>> {
    let (head, rest) = text.split_at_checked(list_start(text)?)?;
    let ends: Vec<usize> = rest.rmatch_indices(']').take(MOST_ENDS).map(|(at, _)| at).collect();
    // The first that leaves a whole envelope: later ones stand in members behind the list.
    let envelope = |end: usize| readable(&format!("{head}{}", rest.get(end..)?)).ok().map(Cow::into_owned);
    let (end, envelope) = ends.into_iter().rev().find_map(|end| Some((end, envelope(end)?)))?;
    let items = items(rest.get(..end)?);
    let ends_well = items.last().is_none_or(|last| readable(last).err().is_none_or(|error| !error.is_eof()));
    Some(Recovered { envelope, items, ends_well })
}

/// Behind the bracket that opens `CDR_LIST`.
fn list_start(text: &str) -> Option<usize> {
    const NAME: &str = "\"cdr_list\"";
    let at = text
        .as_bytes()
        .windows(NAME.len())
        .position(|window| window.eq_ignore_ascii_case(NAME.as_bytes()))?;
    let after = text.get(at + NAME.len()..)?;
    let list = after.trim_start().strip_prefix(':')?.trim_start().strip_prefix('[')?;
    Some(text.len() - list.len())
}

fn items(list: &str) -> Vec<Cow<'_, str>> {
    let mut items: Vec<Cow<'_, str>> = Vec::new();
    let mut in_broken = false;
    let bounds = bounds(list);
    let mut at = 0;
    while let Some((start, first_end)) = bounds.get(at).copied() {
        if let Some((item, used)) = whole_item(list, bounds.get(at..).unwrap_or_default())
            && (!in_broken || names_a_call(&item))
        {
            items.push(item);
            in_broken = false;
            at += used;
            continue;
        }
        let piece = list.get(start..first_end).unwrap_or_default();
        // What names no call of its own is the rest of the broken record before it.
        match items.last_mut().filter(|_| in_broken && !names_a_call(piece)) {
            Some(broken) => *broken = Cow::Owned(format!("{broken},{piece}")),
            None => items.push(Cow::Borrowed(piece)),
        }
        in_broken = true;
        at += 1;
    }
    items
}

/// Where the list could be divided: at each `},{"`. Inside a JSON string that can not stand: its quote would be escaped.
fn bounds(list: &str) -> Vec<(usize, usize)> {
    let mut bounds = Vec::new();
    let mut start = list.len() - list.trim_start().len();
    for (brace, _) in list.match_indices('}') {
        let after = list.get(brace + 1..).unwrap_or_default();
        let next = after.trim_start().strip_prefix(',').map(str::trim_start);
        if let Some(next) = next
            && next.strip_prefix('{').is_some_and(|members| members.trim_start().starts_with('"'))
        {
            bounds.push((start, brace + 1));
            start = list.len() - next.len();
        }
    }
    let end = list.trim_end().trim_end_matches(',').len();
    if start < end {
        bounds.push((start, end));
    }
    bounds
}

/// The JSON that begins with the first of `bounds`, and over how many of them it goes.
fn whole_item<'a>(list: &'a str, bounds: &[(usize, usize)]) -> Option<(Cow<'a, str>, usize)> {
    let (start, _) = bounds.first()?;
    for (index, (_, end)) in bounds.iter().take(MOST_PIECES).enumerate() {
        let candidate = list.get(*start..*end)?;
        match serde_json::from_str::<&RawValue>(candidate) {
            Ok(_) => return Some((Cow::Borrowed(candidate), index + 1)),
            Err(error) if error.is_eof() => {}
            Err(_) => match readable(candidate) {
                Ok(item) => return Some((item, index + 1)),
                Err(error) if error.is_eof() => {}
                Err(_) => return None,
            },
        }
    }
    None
}

fn names_a_call(item: &str) -> bool {
    let name = quoted("callid");
    item.as_bytes().windows(name.len()).any(|window| window.eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbours_of_a_broken_record_are_taken_one_by_one() {
        let good = [
            r#"{"CallID":"a","CustomData":[{"x":1},{"y":2}]}"#,
            r#"{"CallID":"b","Note":"},{ in a text"}"#,
            r#"{"CallID":"c"}"#,
        ];
        let broken = r#"{"CallID":"x","UserName":"O"Brien","DTMFData":[{"a":1},{"b":2}],"Z":1}"#;
        let text = format!(
            r#"{{"ERROR_NUMBER":0,"CDR_LIST" : [{},{broken} , {},{}],"MORE":["]"]}}"#,
            good[0], good[1], good[2]
        );
        let Recovered { envelope, items, ends_well } = recovered(&text).unwrap();
        assert!(ends_well);
        assert_eq!(envelope, r#"{"ERROR_NUMBER":0,"CDR_LIST" : [],"MORE":["]"]}"#);
        assert_eq!(items, [good[0], broken, good[1], good[2]]);
    }

    #[test]
    fn what_is_mended_in_one_record_is_mended_beside_a_broken_one() {
        let text = r#"{"CDR_LIST":[{"CallID":"x" "y"},{"CallID":"n","Price":NaN}],"ERROR_NUMBER":0}"#;
        assert_eq!(
            recovered(text).unwrap().items,
            [r#"{"CallID":"x" "y"}"#, r#"{"CallID":"n","Price":"NaN"}"#]
        );
    }

    #[test]
    fn a_body_that_was_cut_behind_a_bracket_does_not_end_well() {
        for text in [
            r#"{"ERROR_NUMBER":0,"CDR_LIST":[{"CallID":"x" "y"},{"CallID":"b","DTMFData":[]}"#,
            r#"{"ERROR_NUMBER":0,"CDR_LIST":[{"CallID":"x" "y"},{"CallID":"b","DTMFData":[{"a":1}]}"#,
        ] {
            assert!(!recovered(text).unwrap().ends_well);
        }
    }
}
