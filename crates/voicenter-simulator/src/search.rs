//! Finds the records that a request asks for: filters, order and the limit.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};

use super::dialect::Dialect;
use super::options::{ApiGeneration, OverLimit, SimulatorOptions, SortBehaviour};
use super::people::same_number;
use super::random::Random;
use super::record::Record;
use super::request::{Request, Search, SortKey};
use super::wire::Field;
use super::world::{Shown, World};

pub(crate) struct Found {
    /// The records of the answer, in its order.
    pub(crate) page: Vec<Shown>,
    pub(crate) total: usize,
    /// `true` if there are more than the limit and the API answers that with error 3.
    pub(crate) refused: bool,
}

/// The department and the user that the credential belongs to, for `IdentityCriteria`.
const OWN_DEPARTMENT: &str = "1201";
const OWN_USER: &str = "41000";

/// Answers a request from the world as it is at `at`.
///
/// `turn` distinguishes this answer's order from that of any other, if the order is random.
pub(crate) fn find(
    world: &World,
    options: &SimulatorOptions,
    request: &Request,
    at: DateTime<Utc>,
    turn: u64,
) -> Found {
    let dialect = Dialect::of(options);
    let mut hits = candidates(world, &dialect, &request.search, at);
    hits.retain(|shown| in_range(shown, options, &dialect, &request.search));
    if let Some(kept) = options.refusals.purged_after {
        hits.retain(|shown| shown.started >= at - kept);
    }
    if needs_fields(&request.search) {
        hits.retain(|shown| matches(&shown.record(at), &request.search));
    }
    let total = hits.len();
    let over = total > options.record_limit;
    let refuses = match options.over_limit {
        OverLimit::Documented => options.generation == ApiGeneration::V01,
        OverLimit::Error => true,
        OverLimit::Cut => false,
    };
    if over && refuses {
        return Found { page: Vec::new(), total, refused: true };
    }
    Found { page: page(hits, options, request, at, turn), total, refused: false }
}

fn page(
    mut hits: Vec<Shown>,
    options: &SimulatorOptions,
    request: &Request,
    at: DateTime<Utc>,
    turn: u64,
) -> Vec<Shown> {
    let limit = options.record_limit;
    let reversed = |key: &SortKey| SortKey { descending: !key.descending, ..*key };
    let by_date = |descending| [SortKey { field: Field::Date, descending }];
    match options.sort {
        SortBehaviour::Honest if !request.sort.is_empty() => sort(&mut hits, &request.sort, limit, at),
        SortBehaviour::Reversed if !request.sort.is_empty() => {
            let keys: Vec<SortKey> = request.sort.iter().map(reversed).collect();
            sort(&mut hits, &keys, limit, at);
        }
        SortBehaviour::OldestFirst => sort(&mut hits, &by_date(false), limit, at),
        SortBehaviour::NewestFirst => sort(&mut hits, &by_date(true), limit, at),
        SortBehaviour::Random => {
            let place = |shown: &Shown| Random::of(&[turn, shown.appeared.1]).next();
            first_in_order(&mut hits, limit, |a, b| place(a).cmp(&place(b)));
        }
        _ => first_in_order(&mut hits, limit, |a, b| a.appeared.cmp(&b.appeared)),
    }
    hits.truncate(limit);
    if options.sort == SortBehaviour::AfterCut && !request.sort.is_empty() {
        sort(&mut hits, &request.sort, limit, at);
    }
    hits
}

fn sort(hits: &mut Vec<Shown>, keys: &[SortKey], limit: usize, at: DateTime<Utc>) {
    let by_date = |field: Field| matches!(field, Field::Date | Field::DateEpoch);
    if let Some(first) = keys.first()
        && keys.iter().all(|key| by_date(key.field))
    {
        let descending = first.descending;
        first_in_order(hits, limit, |a, b| {
            let dates = a.started.cmp(&b.started);
            let dates = if descending { dates.reverse() } else { dates };
            dates.then_with(|| a.appeared.cmp(&b.appeared))
        });
        return;
    }
    let mut whole: Vec<(Record, Shown)> = hits.drain(..).map(|shown| (shown.record(at), shown)).collect();
    whole.sort_by(|(a, _), (b, _)| {
        let orders = keys.iter().map(|key| {
            let order = compare(a, b, key.field);
            if key.descending { order.reverse() } else { order }
        });
        orders.fold(Ordering::Equal, Ordering::then)
    });
    hits.extend(whole.into_iter().map(|(_, shown)| shown));
}

fn compare(a: &Record, b: &Record, field: Field) -> Ordering {
    match field {
        Field::Duration => a.duration.cmp(&b.duration),
        Field::RingTime => a.ring_time.cmp(&b.ring_time),
        Field::CallId => a.call_id.cmp(&b.call_id),
        _ => a.started_at.cmp(&b.started_at),
    }
}

/// Sorts the first `limit` records; the others stay unsorted, since they will be cut off.
fn first_in_order(hits: &mut [Shown], limit: usize, order: impl Fn(&Shown, &Shown) -> Ordering + Copy) {
    if limit > 0 && limit < hits.len() {
        hits.select_nth_unstable_by(limit, order);
    }
    let end = limit.min(hits.len());
    if let Some(first) = hits.get_mut(..end) {
        first.sort_unstable_by(order);
    }
}

fn candidates(world: &World, dialect: &Dialect, search: &Search, at: DateTime<Utc>) -> Vec<Shown> {
    if let Some(call_id) = &search.call_id {
        let mut shown = world.shown_around(at, call_id);
        shown.retain(|shown| shown.record(at).call_id == *call_id);
        return shown;
    }
    match (search.from, search.to) {
        (Some(from), Some(to)) => {
            let (from, to) = dialect.enclosing(from, to);
            world.shown(at, from, to)
        }
        _ => Vec::new(),
    }
}

fn in_range(shown: &Shown, options: &SimulatorOptions, dialect: &Dialect, search: &Search) -> bool {
    let date = dialect.wall_time(shown.started);
    let after = search.from.is_none_or(|from| from < date || (options.from_inclusive && from == date));
    let before = search.to.is_none_or(|to| date < to || (options.to_inclusive && date == to));
    after && before
}

fn needs_fields(search: &Search) -> bool {
    let Search { phones, extensions, identity, cdr_types, campaigns, queues, .. } = search;
    let parties = phones.len() + extensions.len();
    let kinds = cdr_types.len() + campaigns.len() + queues.len();
    parties + kinds > 0 || identity.is_some()
}

/// Returns `true` if each criterion of the search holds; a list holds if one of its elements does.
fn matches(record: &Record, search: &Search) -> bool {
    let numbers = [same_number(&record.caller_number), same_number(&record.target_number)];
    let phone = |phone: &String| numbers.contains(&same_number(phone));
    let extension = |name: &String| {
        record.caller_extension.eq_ignore_ascii_case(name)
            || record.target_extension.eq_ignore_ascii_case(name)
    };
    let among =
        |list: &[i64], value: Option<i64>| list.is_empty() || value.is_some_and(|v| list.contains(&v));
    let own = match search.identity.as_deref() {
        Some("Department") => record.department_id == OWN_DEPARTMENT,
        Some("User") => record.user_id == OWN_USER,
        _ => true,
    };
    own && (search.phones.is_empty() || search.phones.iter().any(phone))
        && (search.extensions.is_empty() || search.extensions.iter().any(extension))
        && among(&search.cdr_types, record.cdr_type.map(i64::from))
        && among(&search.queues, record.queue_id)
        && among(&search.campaigns, record.campaign_id)
}
