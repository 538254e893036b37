//! The index of a stretch of the world: an hour of independent calls, or a day of a call centre.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::call_centre::{self, Leg};
use super::calls::{self, Entry, LONGEST_AFTER, LONGEST_BEFORE};
use super::options::{Company, WorldOptions};
use super::record::{Record, call_starts};

const HOUR: i64 = 3_600;

/// The records of all calls that start in one stretch.
#[derive(Debug)]
pub(crate) enum Stretch {
    Hour(Box<[Entry]>),
    Day(Box<[Leg]>),
}

impl Stretch {
    pub(crate) fn generate(options: &WorldOptions, number: i64) -> Self {
        match options.company {
            Company::IndependentCalls => Stretch::Hour(calls::hour(options, number).into()),
            Company::CallCentre => Stretch::Day(call_centre::legs(options, number).into()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Stretch::Hour(entries) => entries.len(),
            Stretch::Day(legs) => legs.len(),
        }
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        match self {
            Stretch::Hour(entries) => entries.get(index),
            Stretch::Day(legs) => legs.get(index).map(|leg| &leg.entry),
        }
    }

    /// The record as it is at `at` (seconds since 1970).
    pub(crate) fn record(&self, index: usize, at: i64) -> Option<Record> {
        match self {
            Stretch::Hour(entries) => entries.get(index).map(|entry| Record::of(entry, at)),
            Stretch::Day(legs) => legs.get(index).map(|leg| leg.record(at)),
        }
    }
}

/// The stretches that can have records with a Date in `[from, to]` (seconds since 1970).
pub(crate) fn dated_within(options: &WorldOptions, from: i64, to: i64) -> RangeInclusive<i64> {
    let (first, last) = (from.saturating_sub(LONGEST_AFTER + HOUR), to.saturating_add(LONGEST_BEFORE));
    match options.company {
        Company::IndependentCalls => first.div_euclid(HOUR)..=last.div_euclid(HOUR),
        Company::CallCentre => call_centre::days(first, last),
    }
}

/// The stretches that can have the call with this generated CallID.
pub(crate) fn around(options: &WorldOptions, call_id: &str) -> BTreeSet<i64> {
    let starts = call_starts(call_id).into_iter();
    match options.company {
        Company::IndependentCalls => starts.map(|start| start.div_euclid(HOUR)).collect(),
        Company::CallCentre => starts.flat_map(|start| call_centre::days(start, start)).collect(),
    }
}
