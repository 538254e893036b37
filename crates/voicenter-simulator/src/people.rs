//! Who works at the invented company and who calls it: names, departments, queues, phone numbers.

use super::random::Random;

/// One representative: name, code, user id, extension (SIP name), department.
pub(crate) struct Representative {
    pub(crate) name: &'static str,
    pub(crate) code: String,
    pub(crate) user_id: String,
    pub(crate) extension: String,
    pub(crate) department: &'static Department,
}

/// A department with its number and the queue that its callers wait in.
#[derive(Debug)]
pub(crate) struct Department {
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    pub(crate) queue: &'static str,
    pub(crate) queue_id: i64,
    pub(crate) did: &'static str,
}

const SALES: Department =
    Department { id: 1201, name: "Sales", queue: "Sales", queue_id: 30501, did: "0722776772" };

const DEPARTMENTS: [&Department; 5] = [
    &SALES,
    &Department {
        id: 1202, name: "שירות לקוחות", queue: "תור שירות", queue_id: 30502, did: "0722776773"
    },
    &Department {
        id: 1203, name: "תמיכה טכנית", queue: "תמיכה", queue_id: 30503, did: "0722776774"
    },
    &Department {
        id: 1204, name: "הנהלת חשבונות", queue: "חשבונות", queue_id: 30504, did: "039612345"
    },
    &Department { id: 1205, name: "Back Office", queue: "Overflow", queue_id: 30505, did: "048551234" },
];

const NAMES: [&str; 24] = [
    "נועה כהן",
    "יוסי לוי",
    "מרים בן-דוד",
    "אבי מזרחי",
    "תמר פרץ",
    "דוד ביטון",
    "שירה אברהם",
    "משה פרידמן",
    "יעל גולן",
    "עומר חדד",
    "רוני שפירא",
    "ליאת אזולאי",
    "איתי רוזנברג",
    "הדס מלכה",
    "Dana Levi",
    "Michael O'Brien",
    "Olga Petrova",
    "Ahmad Khalil",
    "Sarah \"Sari\" Klein",
    "Jean-Luc Amsalem",
    "מיכל צ'רניחובסקי",
    "Yael Bar",
    "Tom Harari",
    "רחל (רוחי) וייס",
];

/// The department with this number, counted from 0; the first one replaces any other.
pub(crate) fn department_number(number: usize) -> &'static Department {
    DEPARTMENTS.get(number).copied().unwrap_or(&SALES)
}

/// One of the departments; the first one replaces an empty choice.
pub(crate) fn department(random: &mut Random) -> &'static Department {
    let index = random.weighted(&[(30, 0usize), (35, 1), (20, 2), (10, 3), (5, 4)]);
    DEPARTMENTS.get(index).copied().unwrap_or(&SALES)
}

/// All departments.
pub(crate) fn departments() -> impl Iterator<Item = &'static Department> {
    DEPARTMENTS.into_iter()
}

/// All of the people who answer and make calls: extension, name and department.
pub(crate) fn staff() -> Vec<(String, String, &'static Department)> {
    let all = (0..24).map(representative_number);
    all.map(|one| (one.extension, one.name.to_owned(), one.department)).collect()
}

/// One of the people who answer and make calls.
pub(crate) fn representative(random: &mut Random) -> Representative {
    representative_number(random.between(0, 23))
}

fn representative_number(number: i64) -> Representative {
    let index = usize::try_from(number).unwrap_or(0);
    let department = DEPARTMENTS.get(index % DEPARTMENTS.len()).copied().unwrap_or(&SALES);
    Representative {
        name: NAMES.get(index).copied().unwrap_or_default(),
        code: format!("{:08}", 20_340_017 + number * 1_046_527),
        user_id: format!("{}", 41_000 + number),
        extension: format!("SIPSIP{}", number + 1),
        department,
    }
}

/// A customer's number in the forms in which Israeli numbers are written in call logs.
pub(crate) fn phone(random: &mut Random) -> (String, &'static str) {
    let subscriber = random.between(1_000_000, 9_999_999);
    match random.between(0, 99) {
        0..=54 => {
            let prefix = random.pick(&["50", "52", "53", "54", "55", "58"]);
            (format!("0{prefix}{subscriber}"), "Israel Mobile")
        }
        55..=69 => {
            let prefix = random.pick(&["50", "52", "54"]);
            (format!("972{prefix}{subscriber}"), "Israel Mobile")
        }
        70..=84 => (format!("0{}{subscriber}", random.pick(&["2", "3", "4", "8", "9"])), "Israel"),
        85..=91 => (format!("07{}{subscriber}", random.pick(&["2", "3", "7"])), "Israel VoIP"),
        92..=94 => (format!("1700{}", subscriber % 1_000_000), "Israel Special"),
        95..=97 => (format!("44207{subscriber}"), "United Kingdom"),
        _ => ("anonymous".to_owned(), ""),
    }
}

/// One form for numbers that reach the same phone: digits only, `972` in place of a leading zero.
pub(crate) fn same_number(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('0') {
        Some(national) if !national.starts_with('0') => format!("972{national}"),
        Some(_) | None => digits.strip_prefix("00").unwrap_or(&digits).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_and_without_the_country_code_are_one() {
        for form in ["0547588535", "972547588535", "+972-54-7588535", "00972547588535"] {
            assert_eq!(same_number(form), "972547588535");
        }
        assert_eq!(same_number("442071234567"), "442071234567");
    }
}
