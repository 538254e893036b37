//! Dividing one overloaded second by something other than time.

/// The part of an account's calls that a request is narrowed to; empty lists do not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterPartition {
    /// `cdrTypes`: numbers of call types.
    pub cdr_types: Vec<i32>,
    /// `phones`: phone numbers with country code.
    pub phones: Vec<String>,
    /// `extensions`: SIP names of extensions.
    pub extensions: Vec<String>,
}

impl FilterPartition {
    /// Returns two slices that make up this one, divided by type first, then by phones, then by extensions; `None`
    /// when nothing is left to divide by.
    pub fn halves(&self) -> Option<(FilterPartition, FilterPartition)> {
        if let Some((a, b)) = halves(&self.cdr_types) {
            return Some((
                FilterPartition { cdr_types: a, ..self.clone() },
                FilterPartition { cdr_types: b, ..self.clone() },
            ));
        }
        if let Some((a, b)) = halves(&self.phones) {
            return Some((
                FilterPartition { phones: a, ..self.clone() },
                FilterPartition { phones: b, ..self.clone() },
            ));
        }
        let (a, b) = halves(&self.extensions)?;
        Some((
            FilterPartition { extensions: a, ..self.clone() },
            FilterPartition { extensions: b, ..self.clone() },
        ))
    }
}

fn halves<T: Clone>(list: &[T]) -> Option<(Vec<T>, Vec<T>)> {
    let (a, b) = list.split_at_checked(list.len() / 2)?;
    (!a.is_empty()).then(|| (a.to_vec(), b.to_vec()))
}
