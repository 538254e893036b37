//! Extensions and queues, which the vendor lists on hosts of their own (docs/voicenter-api.md#lists): what is listed for a
//! credential, what goes wrong with it, and the answers. Nothing here is limited, counted or spoilt with the call log's requests.

mod answer;
mod serve;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::options::{Company, WorldOptions};
use super::people::{self, Department};
use crate::call_centre;

pub(crate) use answer::is_meant;
pub(crate) use serve::serve;

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListName {
    /// `GetExtensions`.
    Extensions,
    /// `GetQueuesCallers`.
    Queues,
}

impl ListName {
    /// The path that lists it, in the letter case of the vendor's pages.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Extensions => "/Comet/api/GetExtensions",
            Self::Queues => "/comet/API/GetQueuesCallers",
        }
    }
}

/// One extension of `GetExtensions`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the answer, by their names in it")]
pub struct ListedExtension {
    pub sip: String,
    pub name: String,
    pub speed_dial: String,
    pub account_id: u64,
    pub account_name: String,
    pub user_name: String,
    pub user_email: String,
}

/// One queue of `GetQueuesCallers`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the answer, by their names in it")]
pub struct ListedQueue {
    pub id: i64,
    pub name: String,
    pub weight: i64,
    /// The phone numbers of those who wait.
    pub callers: Vec<String>,
}

/// One way in which a list goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFault {
    /// No entries and no error, as for a wrong code.
    Empty,
    /// Only the first third of the entries.
    Shrunk,
    /// `ERR` 1.
    Refused,
    /// HTTP 403 with `ERR` 4: the address is not whitelisted.
    Untrusted,
    /// An HTML page with HTTP 200.
    HtmlWith200,
    /// HTTP 403 with an HTML page, as a firewall answers.
    Blocked,
    /// HTTP 500 with an HTML page.
    Http500,
    /// HTTP 500 with a list as if all were well.
    Http500WithList,
    /// JSON that ends in the middle.
    Truncated,
    /// No answer ever.
    Hang,
    /// Every name in lower case.
    LowerCaseNames,
    /// Numbers as text.
    NumbersAsText,
    /// A field that nobody knows, in every entry.
    UnknownField,
    /// No entry has a `UserEmail`, and no queue a `Weight`.
    AbsentField,
    /// The first entry twice, the second time with another name.
    Twice,
    /// The last entry has no id.
    NoId,
    /// A NUL character in the first name.
    Nul,
}

/// What is listed for one credential; clones share it.
#[derive(Clone, Debug)]
pub struct Lists(Arc<Mutex<Board>>);

#[derive(Debug, Default)]
struct Board {
    extensions: Vec<ListedExtension>,
    queues: Vec<ListedQueue>,
    faults: BTreeMap<ListName, ListFault>,
    requests: BTreeMap<ListName, usize>,
}

impl Lists {
    /// The extensions and queues of the company whose calls are simulated.
    fn of_the_company(world: &WorldOptions) -> Self {
        let staff = match world.company {
            Company::IndependentCalls => people::staff(),
            Company::CallCentre => call_centre::staff(world),
        };
        let extension =
            |(at, (sip, user_name, department)): (usize, (String, String, &Department))| ListedExtension {
                name: format!("Extension {}", at + 1),
                speed_dial: (at + 11).to_string(),
                account_id: department.id.into(),
                account_name: department.name.to_owned(),
                user_name,
                user_email: format!("{}@example.com", sip.to_lowercase()),
                sip,
            };
        let extensions = staff.into_iter().enumerate().map(extension);
        let queues = people::departments().map(|department| ListedQueue {
            id: department.queue_id,
            name: department.queue.to_owned(),
            weight: 5,
            callers: vec![format!("05012345{}", department.queue_id % 100)],
        });
        let board = Board { extensions: extensions.collect(), queues: queues.collect(), ..Board::default() };
        Self(Arc::new(Mutex::new(board)))
    }

    /// Changes the extensions that are listed.
    pub fn change_extensions(&self, change: impl FnOnce(&mut Vec<ListedExtension>)) {
        change(&mut self.board().extensions);
    }

    /// Changes the queues that are listed.
    pub fn change_queues(&self, change: impl FnOnce(&mut Vec<ListedQueue>)) {
        change(&mut self.board().queues);
    }

    /// Lets a list go wrong at every request, or be well again.
    pub fn spoil(&self, list: ListName, fault: Option<ListFault>) {
        let mut board = self.board();
        match fault {
            Some(fault) => drop(board.faults.insert(list, fault)),
            None => drop(board.faults.remove(&list)),
        }
    }

    /// How often a list was requested with this credential.
    pub fn requests(&self, list: ListName) -> usize {
        self.board().requests.get(&list).copied().unwrap_or_default()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lists of all credentials.
#[derive(Debug)]
pub(crate) struct AllLists {
    world: WorldOptions,
    by_code: Mutex<BTreeMap<String, Lists>>,
}

impl AllLists {
    pub(crate) fn new(world: WorldOptions) -> Self {
        Self { world, by_code: Mutex::default() }
    }

    /// Those of a credential; the first time they are the company's.
    pub(crate) fn of(&self, code: &str) -> Lists {
        let mut all = self.by_code.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(code.to_owned()).or_insert_with(|| Lists::of_the_company(&self.world)).clone()
    }

    /// Those of a credential that is known.
    fn known(&self, code: &str) -> Option<Lists> {
        self.by_code.lock().unwrap_or_else(PoisonError::into_inner).get(code).cloned()
    }
}
