//! A list with a record that is not JSON: the record is rejected, and its neighbours are kept.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::text::{quoted, readable};

/// At most this many separators are tried as the end of a record that contains objects itself.
const MOST_PIECES: usize = 64;
/// At most this many brackets, from the end, are tried as the one that closes the list.
const MOST_ENDS: usize = 8;

#[derive(Debug)]
pub(super) struct Recovered<'a> {
    /// The envelope with an empty list.
    pub envelope: String,
    /// The list's items; those that are not JSON are unchanged.
    pub items: Vec<Cow<'a, str>>,
    /// `true` if the last item is whole; otherwise the body may have been cut inside it, at a bracket that is not the
    /// list's.
    pub ends_well: bool,
}

pub(super) fn recovered(text: &str) -> Option<Recovered<'_>> {
    let (head, rest) = text.split_at_checked(list_start(text)?)?;
    let ends: Vec<usize> = rest.rmatch_indices(']').take(MOST_ENDS).map(|(at, _)| at).collect();
    // The first that leaves a whole envelope: later ones are in members behind the list.
    let envelope = |end: usize| readable(&format!("{head}{}", rest.get(end..)?)).ok().map(Cow::into_owned);
    let (end, envelope) = ends.into_iter().rev().find_map(|end| Some((end, envelope(end)?)))?;
    let items = items(rest.get(..end)?);
    let ends_well = items.last().is_none_or(|last| readable(last).is_ok());
    Some(Recovered { envelope, items, ends_well })
}

/// The position after the bracket that opens `CDR_LIST`.
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
    let mut rest = list.trim();
    while !rest.is_empty() {
        let (item, length, is_whole) = match whole_item(rest) {
            Some((item, length)) => (item, length, true),
            None => {
                let length = ends(rest).next().unwrap_or(rest.len());
                (Cow::Borrowed(rest.get(..length).unwrap_or(rest)), length, false)
            }
        };
        match items.last_mut().filter(|_| in_broken && !names_a_call(&item)) {
            // A piece without its own CallID is the rest of the broken record before it.
            Some(broken) => *broken = Cow::Owned(format!("{broken},{item}")),
            None => {
                items.push(item);
                in_broken = !is_whole;
            }
        }
        let after = rest.get(length..).unwrap_or_default().trim_start();
        rest = after.strip_prefix(',').unwrap_or(after).trim_start();
    }
    items
}

/// The JSON that `list` begins with, repaired if need be, and its length in `list`.
fn whole_item(list: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut values = serde_json::Deserializer::from_str(list).into_iter::<&RawValue>();
    if let Some(Ok(value)) = values.next() {
        let after = list.get(values.byte_offset()..)?.trim_start();
        if after.is_empty() || after.starts_with(',') {
            return Some((Cow::Borrowed(value.get()), values.byte_offset()));
        }
    }
    for end in ends(list).take(MOST_PIECES) {
        match readable(list.get(..end)?) {
            Ok(item) => return Some((item, end)),
            Err(error) if error.is_eof() => {}
            Err(_) => return None,
        }
    }
    None
}

/// Where the first record of `list` could end: at each `},{"`, which cannot occur inside a JSON string, where its quote
/// would be escaped; and at the end.
fn ends(list: &str) -> impl Iterator<Item = usize> {
    let begins_record =
        |next: &str| next.strip_prefix('{').is_some_and(|first| first.trim_start().starts_with('"'));
    let divides = move |brace: &usize| {
        let after = list.get(brace + 1..).unwrap_or_default().trim_start();
        after.strip_prefix(',').is_some_and(|next| begins_record(next.trim_start()))
    };
    let braces = list.match_indices('}').map(|(at, _)| at).filter(divides).map(|brace| brace + 1);
    braces.chain([list.trim_end_matches(',').len()])
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
            r#"{"ERROR_NUMBER":0,"CDR_LIST":[{"CallID":"x","DTMFData":[{"a" 1}],"Type":"Queue"}"#,
        ] {
            assert!(!recovered(text).unwrap().ends_well);
        }
    }
}
