//! The fields that not every server gives out: a stretch knows which of them it was read without.

/// A set of the fields in [`Lacking::NAMES`] that an answer was not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lacking(u8);

impl Lacking {
    /// The fields, by their names on the wire; only they can be lacking.
    pub const NAMES: [&str; 4] = ["DateEpoch", "CdrType", "UserName", "UserId"];
    /// Read with every field.
    pub const NONE: Self = Self(0);
    /// Read without any of them.
    pub const ALL: Self = Self(0b1111);

    /// The set of the fields with these names. A name of a later program is left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let position = |name: &str| Self::NAMES.iter().position(|known| *known == name);
        Self(names.into_iter().filter_map(position).fold(0, |bits, at| bits | 1 << at))
    }

    /// The names of its fields.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        (0..).zip(Self::NAMES).filter(move |(at, _)| self.0 >> at & 1 == 1).map(|(_, name)| name)
    }

    /// What either lacks.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What it lacks beyond `other`.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns `true` if nothing is lacking.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}
