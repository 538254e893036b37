use proptest::prelude::*;

use super::*;

/// A server that refuses some parts of the form, by name or silently, and has other problems as well.
struct Server {
    refuses: Form,
    by_name: bool,
    /// What happens to each request in turn before the form is looked at; nothing, once this is empty.
    trouble: VecDeque<Option<Reception>>,
    requests: usize,
}

impl Server {
    fn new(refuses: Form, by_name: bool) -> Self {
        Self { refuses, by_name, trouble: VecDeque::new(), requests: 0 }
    }

    fn reply(&mut self, sent: Form) -> Reception {
        self.requests += 1;
        if let Some(trouble) = self.trouble.pop_front().flatten() {
            return trouble;
        }
        match self.refuses.both(sent).members().next() {
            None => Reception::Taken,
            Some(first) if self.by_name => Reception::Refused(Form::named_in(first.name())),
            Some(_) => Reception::Refused(Form::BARE),
        }
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

const SORT: Form = Form(0b110_0000);

fn plain() -> Form {
    Form::FULL.minus(Form::ESSENTIAL)
}

/// Asks once and returns the form of the accepted answer, if there was one.
fn ask(
    capabilities: &mut Capabilities,
    server: &mut Server,
    wanted: Form,
    at: DateTime<Utc>,
) -> Option<Form> {
    let (mut attempt, mut sent) = capabilities.begin(wanted, Form::BARE, at);
    let mut answered = None;
    for _ in 0..40 {
        let reception = server.reply(sent);
        if reception == Reception::Taken {
            answered = Some(sent);
        }
        match capabilities.absorb(&mut attempt, reception, at) {
            AttemptStep::Request(form) => sent = form,
            AttemptStep::Take => return answered,
            AttemptStep::GiveUp => return None,
        }
    }
    panic!("asked without end");
}

/// What is dropped in the end: the second spelling of `sort` is never tried while the first works.
fn expected(refuses: Form) -> Form {
    if refuses.has(Capability::SortLower) { refuses } else { refuses.minus(SORT) }
}

fn forms() -> impl Strategy<Value = Form> {
    (0..=plain().0).prop_map(|bits| Form(bits).both(plain()))
}

fn troubles(most: usize) -> impl Strategy<Value = Vec<Option<Reception>>> {
    let trouble = prop_oneof![
        4 => Just(None),
        1 => Just(Some(Reception::Refused(Form::BARE))),
        1 => forms().prop_map(|named| Some(Reception::Refused(named))),
        1 => Just(Some(Reception::Failed)),
        1 => Just(Some(Reception::Unrelated)),
    ];
    prop::collection::vec(trouble, 0..most)
}

proptest! {
    #[test]
    fn the_first_question_finds_exactly_what_is_refused(refuses in forms(), by_name: bool) {
        let (mut capabilities, mut server) = (Capabilities::default(), Server::new(refuses, by_name));
        let answered = ask(&mut capabilities, &mut server, plain(), now());
        prop_assert_eq!(capabilities.dropped(), expected(refuses));
        prop_assert_eq!(answered, Some(plain().minus(refuses).on_the_wire()), "and the answer is the fullest");
        let parts = refuses.0.count_ones() as usize;
        let most = if by_name { 2 + parts } else { 12 };
        prop_assert!(server.requests <= most, "{} requests", server.requests);
        let before = server.requests;
        for _ in 0..50 {
            prop_assert!(ask(&mut capabilities, &mut server, plain(), now()).is_some());
        }
        prop_assert_eq!(server.requests, before + 50, "what was found out costs nothing more");
    }

    #[test]
    fn trouble_in_between_drops_nothing_for_good(refuses in forms(), by_name: bool, trouble in troubles(60)) {
        let (mut capabilities, mut server) = (Capabilities::default(), Server::new(refuses, by_name));
        server.trouble = trouble.into();
        let mut at = now();
        for _ in 0..60 {
            ask(&mut capabilities, &mut server, plain(), at);
            at += TimeDelta::minutes(1);
        }
        server.trouble.clear();
        // The daily retry, and some questions: after trouble, a refusal is suspected at the fourth at the latest.
        for _ in 0..2 {
            at += TimeDelta::days(1);
            for _ in 0..4 {
                ask(&mut capabilities, &mut server, plain(), at);
            }
        }
        prop_assert_eq!(capabilities.dropped(), expected(refuses));
        // Once more trouble, then a new process.
        let mut next = Capabilities::recalled(&capabilities.remembered());
        let before = server.requests;
        prop_assert!(ask(&mut next, &mut server, plain(), at).is_some());
        prop_assert_eq!(next.dropped(), expected(refuses));
        prop_assert!(server.requests - before <= plain().0.count_ones() as usize + 2);
        // What an earlier process found out is believed no longer than what this one finds out.
        server.refuses = Form::BARE;
        ask(&mut next, &mut server, plain(), at + RETRY_EVERY);
        prop_assert_eq!(next.dropped(), Form::BARE);
    }

    #[test]
    fn what_a_server_learns_to_take_is_asked_for_again(before in forms(), after in forms(), by_name: bool) {
        let (mut capabilities, mut server) = (Capabilities::default(), Server::new(before, by_name));
        ask(&mut capabilities, &mut server, plain(), now());
        server.refuses = after;
        let at = now() + CONFIRM_AFTER;
        // A form that worked and is suddenly refused is suspected at its second refusal.
        for _ in 0..3 {
            ask(&mut capabilities, &mut server, plain(), at);
        }
        for day in 1..3 {
            ask(&mut capabilities, &mut server, plain(), at + RETRY_EVERY * day);
        }
        prop_assert_eq!(capabilities.dropped(), expected(after));
    }

    #[test]
    fn one_failed_request_degrades_nothing(trouble in troubles(2)) {
        let (mut capabilities, mut server) = (Capabilities::default(), Server::new(Form::BARE, true));
        server.trouble = trouble.into();
        let first = ask(&mut capabilities, &mut server, plain(), now());
        prop_assert!(first.is_none_or(|form| form == plain().on_the_wire()));
        let second = ask(&mut capabilities, &mut server, plain(), now());
        prop_assert_eq!(second, Some(plain().on_the_wire()));
        prop_assert!(capabilities.dropped().is_bare());
    }
}

#[test]
fn an_error_that_merely_contains_the_word_drops_nothing_for_good() {
    let named = Form::named_in("API version temporarily unavailable, sort it out later");
    assert_eq!(named, Form::of([Capability::Version]).union(SORT));
    let trouble = || VecDeque::from(vec![Some(Reception::Refused(named)); 2]);
    let (mut capabilities, mut server) = (Capabilities::default(), Server::new(Form::BARE, true));
    server.trouble = trouble();
    ask(&mut capabilities, &mut server, plain(), now());
    // Two in a row look like a refusal by name: believed for ten minutes.
    assert!(ask(&mut capabilities, &mut server, plain(), now() + CONFIRM_AFTER).is_some());
    assert!(capabilities.dropped().is_bare());
}

#[test]
fn most_questions_to_a_server_in_trouble_cost_one_request() {
    let (mut capabilities, mut server) = (Capabilities::default(), Server::new(Form::BARE, true));
    server.trouble = VecDeque::from(vec![Some(Reception::Refused(Form::BARE)); 1_000]);
    for _ in 0..60 {
        assert_eq!(ask(&mut capabilities, &mut server, plain(), now()), None);
    }
    assert!(server.requests <= 80, "{}", server.requests);
    assert!(capabilities.dropped().is_bare());
}

#[test]
fn a_question_without_use_for_a_part_neither_tries_nor_drops_it() {
    let unsorted = plain().minus(SORT);
    let (mut capabilities, mut server) = (Capabilities::default(), Server::new(SORT, false));
    assert_eq!(ask(&mut capabilities, &mut server, unsorted, now()), Some(unsorted));
    assert_eq!((server.requests, capabilities.dropped()), (1, Form::BARE));
    assert_eq!(ask(&mut capabilities, &mut server, plain(), now()), Some(unsorted));
    assert_eq!(capabilities.dropped(), SORT);
}

/// Looks up one record by `callID`; `taken` is the server's reaction.
fn look_up(capabilities: &mut Capabilities, taken: bool, at: DateTime<Utc>) {
    let (mut attempt, _) = capabilities.begin(Form::FULL, Form::of([Capability::CallId]), at);
    let reception = if taken { Reception::Taken } else { Reception::Refused(Form::BARE) };
    assert!(!matches!(capabilities.absorb(&mut attempt, reception, at), AttemptStep::Request(_)));
}

#[test]
fn a_criterion_is_dropped_when_it_is_refused_before_and_after_a_question_without_it_was_taken() {
    let call_id = Form::of([Capability::CallId]);
    let (mut capabilities, mut server) = (Capabilities::default(), Server::new(Form::BARE, true));
    ask(&mut capabilities, &mut server, plain(), now());
    look_up(&mut capabilities, false, now());
    look_up(&mut capabilities, false, now());
    assert!(capabilities.dropped().is_bare(), "the API may be in trouble");
    ask(&mut capabilities, &mut server, plain(), now());
    look_up(&mut capabilities, true, now());
    ask(&mut capabilities, &mut server, plain(), now());
    look_up(&mut capabilities, false, now());
    assert!(capabilities.dropped().is_bare(), "it worked in between");
    ask(&mut capabilities, &mut server, plain(), now());
    look_up(&mut capabilities, false, now());
    assert_eq!(capabilities.dropped(), call_id);
    // Used again later, and by the next process, where one refusal is enough.
    let mut next = Capabilities::recalled(&capabilities.remembered());
    ask(&mut capabilities, &mut server, plain(), now() + CONFIRM_AFTER);
    for capabilities in [&mut capabilities, &mut next] {
        assert!(capabilities.dropped().is_bare());
        look_up(capabilities, false, now() + CONFIRM_AFTER);
        assert_eq!(capabilities.dropped(), call_id);
    }
    let mut capabilities = Capabilities::default();
    capabilities.ignores(Capability::CallId, now());
    assert_eq!(capabilities.dropped(), call_id);
}

#[test]
fn a_criterion_refused_by_name_twice_is_dropped_while_all_else_works() {
    let call_id = Form::of([Capability::CallId]);
    for (works, dropped) in [(false, Form::BARE), (true, call_id)] {
        let (mut capabilities, mut server) = (Capabilities::default(), Server::new(Form::BARE, true));
        if works {
            ask(&mut capabilities, &mut server, plain(), now());
        }
        let (mut attempt, _) = capabilities.begin(plain(), call_id, now());
        while let AttemptStep::Request(_) =
            capabilities.absorb(&mut attempt, Reception::Refused(call_id), now())
        {}
        assert_eq!(capabilities.dropped(), dropped);
    }
}

#[test]
fn a_form_names_the_fields_that_it_leaves_out() {
    assert_eq!(Form::BARE.lacking(), Lacking::ALL);
    assert_eq!(Form::FULL.lacking(), Lacking::NONE);
    assert_eq!(Form::of([Capability::UserId]).lacking(), Lacking::of(["DateEpoch", "CdrType", "UserName"]));
}
