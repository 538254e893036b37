//! The fields that not every server provides. Each stretch knows which of them it was read without.

/// A set of the fields in [`Lacking::NAMES`] that a request left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lacking(u8);

impl Lacking {
    /// The fields, by their names on the wire. Only these can be lacking.
    pub const NAMES: [&str; 4] = ["DateEpoch", "CdrType", "UserName", "UserId"];
    /// The empty set: read with every field.
    pub const NONE: Self = Self(0);
    /// The full set: read without any of the fields.
    pub const ALL: Self = Self(0b1111);

    /// The set of the fields with these names. Names that only a later version knows are ignored.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let position = |name: &str| Self::NAMES.iter().position(|known| *known == name);
        Self(names.into_iter().filter_map(position).fold(0, |bits, at| bits | 1 << at))
    }

    /// The wire names of the fields in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..).zip(Self::NAMES).filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, name)| name)
    }

    /// The fields that are in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The fields of this set that are not in `other`.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns `true` if the set is empty.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
