//! CDR notifications, which Voicenter pushes when a call has ended: their keys, and what is in them. Values in, values out.

mod analysis;
mod body;
mod facts;
mod fields;
mod join;
mod key;
mod named;
mod pushed_call;
mod time_base;

pub use analysis::{Analysis, Answer, Participants, Role, Sentence, Utterance};
pub(crate) use body::without_records;
pub use body::{DecodeError, decode};
pub use facts::Facts;
pub use join::{Arrival, Confirmation, JoinRules, Joined, Leg, PushedRecord, RecordKey, RecordState, join};
pub(crate) use key::new_key;
pub use key::{KeyHash, NotAKeyHash};
pub(crate) use named::{BodyNames, Named, names_of};
pub use pushed_call::{Dialer, DoNotCall, PushedCall};
pub use time_base::{TimeBase, started_at, time_base};
