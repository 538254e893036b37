//! Who calls and is called: a population whose members call again, and write their numbers in two ways.

use crate::random::Random;

/// Customers for each record per day.
const CUSTOMERS_PER_RECORD: f64 = 15.0;
const FEWEST_CUSTOMERS: f64 = 2_000.0;
/// One in this number of customers is a regular; all regulars together make …
const REGULARS: i64 = 30;
/// … this share of all calls.
const SHARE_OF_REGULARS: f64 = 0.4;

/// A customer, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Customer(u32);

/// How a number is written in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// `0541234567`
    National,
    /// `972541234567`
    International,
    /// `anonymous`
    Withheld,
}

/// A customer of a company of this size.
pub(super) fn customer(records_per_day: f64, random: &mut Random) -> Customer {
    let all = (records_per_day * CUSTOMERS_PER_RECORD).clamp(FEWEST_CUSTOMERS, 100_000_000.0) as i64;
    let among = if random.chance(SHARE_OF_REGULARS) { all / REGULARS } else { all };
    Customer(u32::try_from(random.between(0, among - 1)).unwrap_or(0))
}

/// How the number of someone who calls in is written.
pub(super) fn incoming_spelling(random: &mut Random) -> Spelling {
    match random.between(0, 99) {
        0..=2 => Spelling::Withheld,
        3..=69 => Spelling::National,
        _ => Spelling::International,
    }
}

/// How a number that the company dials is written.
pub(super) fn dialled_spelling(random: &mut Random) -> Spelling {
    if random.chance(0.4) { Spelling::International } else { Spelling::National }
}

impl Customer {
    /// The number in the one form that all calls of the customer share: digits, with the country code.
    pub(crate) fn canonical(self) -> String {
        format!("972{}", self.national())
    }

    pub(crate) fn written(self, spelling: Spelling) -> String {
        match spelling {
            Spelling::National => format!("0{}", self.national()),
            Spelling::International => self.canonical(),
            Spelling::Withheld => "anonymous".to_owned(),
        }
    }

    pub(crate) fn prefix_name(self) -> &'static str {
        if self.is_mobile() { "Israel Mobile" } else { "Israel" }
    }

    fn is_mobile(self) -> bool {
        !self.0.is_multiple_of(5)
    }

    /// Without any prefix. A factor that shares no divisor with ten million keeps customers' numbers apart.
    fn national(self) -> String {
        let number = u64::from(self.0);
        let subscriber = (number / 5 * 7_654_321 + 1_234_567) % 10_000_000;
        match number % 5 {
            0 => format!("3{subscriber:07}"),
            1 => format!("50{subscriber:07}"),
            2 => format!("52{subscriber:07}"),
            3 => format!("54{subscriber:07}"),
            _ => format!("58{subscriber:07}"),
        }
    }
}
