//! Lists of a simulated API in a real database: first lists, changes, doubtful ones and recovery.

use cdr_sync::reference::{Doubt, ListKind};
use cdr_sync::store::reference::FollowedList;
use cdr_sync::sync::reference::ListOutcome;
use cdr_sync::voicenter::{Credential, Method};
use voicenter_simulator::{ListFault, ListName};

use crate::reference::scene::{ACCOUNT, ListScene, at, name};
use crate::support::program::CODE;

use ListKind::{Extensions, Queues};

fn followed(opened: usize, closed: usize, rows: usize) -> ListOutcome {
    ListOutcome::Followed(FollowedList { opened, closed, rows, ambiguous: 0, doubt: None })
}

fn doubted(rows: usize, doubt: Doubt) -> ListOutcome {
    let doubt = Some(doubt);
    ListOutcome::Followed(FollowedList { opened: 0, closed: 0, rows, ambiguous: 0, doubt })
}

#[tokio::test]
async fn a_first_list_is_stored_as_it_is_and_again_changes_nothing() {
    let scene = ListScene::new().await;
    for (kind, rows) in [(Extensions, 24), (Queues, 5)] {
        assert_eq!(scene.read(kind, 0).await, followed(rows, 0, rows));
        let stored = scene.rows(kind).await;
        assert_eq!(scene.read(kind, 30).await, followed(0, 0, rows));
        assert_eq!(scene.rows(kind).await, stored);
    }
    let first = "select concat_ws('|', account, name, speed_dial, department_id, department_name, user_name, user_email, extra)
         from voicenter.extension where extension = 'SIPSIP1' and valid_to is null";
    let expected = "main|Extension 1|11|1201|Sales|נועה כהן|sipsip1@example.com";
    assert_eq!(scene.database.lines(first).await, [expected]);
    let queue = "select concat_ws('|', name, weight, extra) from voicenter.queue where queue_id = '30501'";
    assert_eq!(scene.database.lines(queue).await, ["Sales|5"]);
    let departments = scene.database.lines(
        "select concat_ws('|', department_id, extensions, valid_to) from voicenter.department where account = 'main' order by 1",
    );
    assert_eq!(departments.await, ["1201|5", "1202|5", "1203|5", "1204|5", "1205|4"]);
}

#[tokio::test]
async fn what_changes_ends_one_interval_and_begins_another() {
    let scene = ListScene::new().await;
    scene.read(Extensions, 0).await;
    scene.read(Queues, 0).await;
    let lists = scene.simulator.lists();
    lists.change_extensions(|all| {
        (all[0].account_id, all[0].account_name) = (1202, "Service".into());
        all.remove(1);
    });
    lists.change_queues(|all| all[0].name = "Sales and more".into());
    assert_eq!(scene.read(Extensions, 30).await, followed(1, 2, 23));
    assert_eq!(scene.read(Queues, 30).await, followed(1, 1, 5));
    assert_eq!(
        scene.intervals("extension", "SIPSIP1", "department_name").await,
        ["0-30 Sales", "30- Service"]
    );
    assert_eq!(scene.intervals("extension", "SIPSIP2", "speed_dial").await, ["0-30 12"]);
    assert_eq!(scene.intervals("queue", "30501", "name").await, ["0-30 Sales", "30- Sales and more"]);
    // It comes back: another interval, and a gap between them.
    lists.change_extensions(|all| {
        let mut again = all[0].clone();
        again.sip = "SIPSIP2".into();
        all.push(again);
    });
    assert_eq!(scene.read(Extensions, 60).await, followed(1, 0, 24));
    assert_eq!(scene.intervals("extension", "SIPSIP2", "speed_dial").await, ["0-30 12", "60- 11"]);
}

#[tokio::test]
async fn empty_and_short_lists_and_those_of_another_time_change_nothing_and_a_whole_one_ends_the_doubt() {
    let scene = ListScene::new().await;
    scene.read(Extensions, 0).await;
    scene.read(Queues, 0).await;
    let (extensions, queues) = (scene.rows(Extensions).await, scene.rows(Queues).await);
    // What is new or different in a list that is not believed is not believed either.
    scene.simulator.lists().change_extensions(|all| all[0].name = "Another".into());
    for (fault, doubt) in [
        (ListFault::Empty, Doubt::Empty { known: 24 }),
        (ListFault::Shrunk, Doubt::Shrunk { known: 24, found: 8 }),
    ] {
        scene.spoil(Extensions, Some(fault));
        assert_eq!(scene.read(Extensions, 30).await, doubted(24, doubt));
        assert_eq!(scene.rows(Extensions).await, extensions);
    }
    scene.spoil(Queues, Some(ListFault::Empty));
    assert_eq!(scene.read(Queues, 30).await, doubted(5, Doubt::Empty { known: 5 }));
    // What the vendor's page says of a wrong code.
    assert_eq!(scene.read_with(Extensions, "wrong", 31).await, doubted(24, Doubt::Empty { known: 24 }));
    assert_eq!((scene.rows(Extensions).await, scene.rows(Queues).await), (extensions.clone(), queues));
    let state = "select concat_ws('|', list, rows, round(extract(epoch from read_at - '2024-06-10T10:00:00Z') / 60), left(problem, 17))
                 from cdr_sync.reference_list order by 1";
    assert_eq!(
        scene.database.lines(state).await,
        ["extensions|24|0|the list is empty", "queues|5|0|the list is empty"]
    );

    scene.spoil(Extensions, None);
    assert_eq!(scene.read(Extensions, -5).await, doubted(24, Doubt::ClockSetBack));
    assert_eq!(scene.rows(Extensions).await, extensions);
    assert_eq!(scene.read(Extensions, 60).await, followed(1, 1, 24));
    assert_eq!(scene.database.lines(state).await[0], "extensions|24|60");
}

#[tokio::test]
async fn an_account_without_queues_is_believed_once_it_has_extensions_until_it_has_a_queue() {
    let scene = ListScene::new().await;
    let empty = |known| doubted(known, Doubt::Empty { known });
    let mut queues = Vec::new();
    scene.simulator.lists().change_queues(|all| queues = std::mem::take(all));
    // A wrong code would be answered like this.
    assert_eq!(scene.read(Queues, 0).await, empty(0));
    scene.spoil(Extensions, Some(ListFault::Empty));
    assert_eq!(scene.read(Extensions, 1).await, empty(0));
    assert_eq!(scene.read(Queues, 2).await, empty(0));
    scene.spoil(Extensions, None);
    assert_eq!(scene.read(Extensions, 3).await, followed(24, 0, 24));
    assert_eq!(scene.read(Queues, 4).await, followed(0, 0, 0));
    let state = "select concat_ws('|', rows, round(extract(epoch from read_at - '2024-06-10T10:00:00Z') / 60), problem)
                 from cdr_sync.reference_list where list = 'queues'";
    assert_eq!(scene.database.lines(state).await, ["0|4"]);
    // The code is refused since.
    assert_eq!(scene.read_with(Extensions, "wrong", 5).await, empty(24));
    assert_eq!(scene.read(Queues, 6).await, empty(0));
    assert_eq!(scene.read(Extensions, 7).await, followed(0, 0, 24));
    // A queue that was ever known, even one that is gone, is not taken away by an empty list.
    scene.simulator.lists().change_queues(|all| *all = queues);
    assert_eq!(scene.read(Queues, 30).await, followed(5, 0, 5));
    scene.simulator.lists().change_queues(Vec::clear);
    assert_eq!(scene.read(Queues, 60).await, empty(5));
    scene.database.execute("update voicenter.queue set valid_to = now() + interval '1 day'").await;
    assert_eq!(scene.read(Queues, 90).await, empty(0));
}

#[tokio::test]
async fn an_operators_word_ends_what_a_short_list_does_not() {
    let scene = ListScene::new().await;
    scene.read(Queues, 0).await;
    scene.simulator.lists().change_queues(|all| all.truncate(2));
    assert_eq!(scene.read(Queues, 30).await, doubted(5, Doubt::Shrunk { known: 5, found: 2 }));
    // As docs/operations.md#reference-data has it.
    scene
        .database
        .execute("update voicenter.queue set valid_to = '2024-06-10T10:31:00Z' where account = 'main' and valid_to is null")
        .await;
    assert_eq!(scene.read(Queues, 60).await, followed(2, 0, 2));
}

#[tokio::test]
async fn other_forms_of_the_same_list_change_nothing() {
    let scene = ListScene::new().await;
    for (kind, rows) in [(Extensions, 24), (Queues, 5)] {
        scene.read(kind, 0).await;
        let stored = scene.rows(kind).await;
        for fault in [ListFault::LowerCaseNames, ListFault::NumbersAsText, ListFault::AbsentField] {
            scene.spoil(kind, Some(fault));
            assert_eq!(scene.read(kind, 30).await, followed(0, 0, rows), "{fault:?}");
            assert_eq!(scene.rows(kind).await, stored, "{fault:?}");
        }
        // A new field begins no interval; it may change all the time.
        scene.spoil(kind, Some(ListFault::UnknownField));
        assert_eq!(scene.read(kind, 30).await, followed(0, 0, rows));
        let extras =
            scene.rows(kind).await.iter().filter(|row| row.contains("\"brandnew\": {\"of\"")).count();
        assert_eq!(extras, rows);
        // An entry without an id may be any: nothing is closed.
        scene.spoil(kind, Some(ListFault::NoId));
        assert_eq!(scene.read(kind, 30).await, followed(0, 0, rows));
        scene.spoil(kind, Some(ListFault::Twice));
        let ListOutcome::Followed(twice) = scene.read(kind, 31).await else { panic!("it came") };
        assert_eq!((twice.opened, twice.closed, twice.ambiguous, twice.doubt), (0, 0, 1, None));
        scene.spoil(kind, None);
        assert_eq!(scene.read(kind, 32).await, followed(0, 0, rows));
        assert_eq!(scene.rows(kind).await, stored);
    }
    scene.spoil(Extensions, Some(ListFault::Nul));
    assert_eq!(scene.read(Extensions, 60).await, followed(1, 1, 24));
}

#[tokio::test]
async fn each_failure_has_its_reason_and_keeps_everything() {
    let scene = ListScene::new().await;
    for kind in [Extensions, Queues] {
        scene.read(kind, 0).await;
        let stored = scene.rows(kind).await;
        for (fault, reason) in [
            (ListFault::Refused, "refused"),
            (ListFault::Untrusted, "refused"),
            (ListFault::HtmlWith200, "unreadable"),
            (ListFault::Blocked, "blocked"),
            (ListFault::Http500, "unreadable"),
            (ListFault::Http500WithList, "unreadable"),
            (ListFault::Truncated, "unreadable"),
            (ListFault::Hang, "timed_out"),
        ] {
            scene.spoil(kind, Some(fault));
            let outcome = scene.read(kind, 30).await;
            let ListOutcome::Failed(error) = outcome else { panic!("{fault:?}: {outcome:?}") };
            assert_eq!(error.reason(), reason, "{fault:?}: {error}");
            assert!(!format!("{error} {error:?}").contains(CODE), "{error:?}");
            assert_eq!(scene.rows(kind).await, stored);
        }
        let problem = format!("select problem from cdr_sync.reference_list where list = '{}'", kind.as_str());
        assert_eq!(scene.database.lines(&problem).await, ["the API did not answer in time: timed out"]);
    }
    let ListOutcome::Failed(error) = scene.read_with(Queues, "wrong", 60).await else {
        panic!("it is wrong")
    };
    assert_eq!(
        error.to_string(),
        "the list is refused (ERR 2: “internal error.”)".replace("internal", "Internal")
    );
    let token = scene.reader(ACCOUNT, Queues, Credential::Token("t".to_owned().into()), Method::Post);
    let requests = scene.simulator.lists().requests(ListName::Queues);
    let ListOutcome::Failed(error) = token.read(at(60)).await.unwrap() else { panic!("it has no code") };
    assert_eq!((error.reason(), scene.simulator.lists().requests(ListName::Queues)), ("refused", requests));
}

#[tokio::test]
async fn a_list_comes_by_get_as_well_and_its_errors_hold_no_code() {
    let scene = ListScene::new().await;
    for kind in [Extensions, Queues] {
        let reader = scene.reader(ACCOUNT, kind, Credential::Code(CODE.to_owned().into()), Method::Get);
        assert!(
            matches!(reader.read(at(0)).await.unwrap(), ListOutcome::Followed(list) if list.doubt.is_none())
        );
        for fault in [ListFault::Hang, ListFault::Http500, ListFault::Truncated] {
            scene.simulator.lists().spoil(name(kind), Some(fault));
            let outcome = format!("{:?}", reader.read(at(30)).await.unwrap());
            assert!(outcome.starts_with("Failed") && !outcome.contains(CODE), "{outcome}");
        }
    }
    let stopped = scene.reader(ACCOUNT, Queues, Credential::Code(CODE.to_owned().into()), Method::Get);
    let ListScene { simulator, store: _store, database: _database } = scene;
    simulator.stop().await;
    let outcome = format!("{:?}", stopped.read(at(30)).await.unwrap());
    assert!(outcome.starts_with("Failed(Api(NoConnection") && !outcome.contains(CODE), "{outcome}");
}
