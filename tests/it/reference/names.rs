//! Several accounts, and what becomes of lists when an account is renamed or forgotten.

use cdr_sync::reference::ListKind::{Extensions, Queues};
use cdr_sync::sync::reference::ListOutcome;
use cdr_sync::voicenter::{Credential, Method};

use crate::reference::scene::{ACCOUNT, ListScene, at};
use crate::support::program::CODE;

const ROWS: &str = "select account || ' ' || count(*) from voicenter.extension group by account order by 1";
const STATES: &str = "select account || ' ' || list from cdr_sync.reference_list order by 1";

#[tokio::test]
async fn each_account_has_rows_of_its_own() {
    let scene = ListScene::new().await;
    scene.open("other").await;
    scene.simulator.lists_of("other-code").change_extensions(|all| all.truncate(3));
    scene.read(Extensions, 0).await;
    let other =
        scene.reader("other", Extensions, Credential::Code("other-code".to_owned().into()), Method::Post);
    other.read(at(0)).await.unwrap();
    assert_eq!(scene.database.lines(ROWS).await, ["main 24", "other 3"]);
    // The code of the other account is a list that lacks nearly everything: nothing is closed.
    let ListOutcome::Followed(confused) = scene.read_with(Extensions, "other-code", 30).await else {
        panic!()
    };
    assert!(confused.doubt.is_some());
    assert_eq!(
        scene.database.count("select count(*) from voicenter.extension where valid_to is not null").await,
        0
    );
}

#[tokio::test]
async fn a_new_name_takes_the_rows_along_and_a_forgotten_account_gets_none() {
    let scene = ListScene::new().await;
    scene.read(Extensions, 0).await;
    scene.read(Queues, 0).await;
    scene.store.rename_account(ACCOUNT, "new").await.unwrap();
    assert_eq!(scene.database.lines(ROWS).await, ["new 24"]);
    assert_eq!(scene.database.lines(STATES).await, ["new extensions", "new queues"]);
    // A reader of the old name that was under way.
    assert_eq!(scene.read(Extensions, 30).await, ListOutcome::Forgotten);
    let renamed = scene.reader("new", Extensions, Credential::Code(CODE.to_owned().into()), Method::Post);
    let ListOutcome::Followed(same) = renamed.read(at(30)).await.unwrap() else { panic!() };
    assert_eq!((same.opened, same.closed, same.rows), (0, 0, 24));

    scene.store.forget_account("new", false).await.unwrap();
    assert_eq!(scene.database.lines(ROWS).await, ["new 24"], "they stay with its calls");
    assert_eq!(scene.database.lines(STATES).await, Vec::<String>::new());
    assert_eq!(renamed.read(at(60)).await.unwrap(), ListOutcome::Forgotten);
    assert!(scene.store.has_rows("new").await.unwrap());
    scene.store.forget_account("new", true).await.unwrap();
    assert_eq!(scene.database.lines(ROWS).await, Vec::<String>::new());
    assert!(!scene.store.has_rows("new").await.unwrap());
}

#[tokio::test]
async fn a_paused_account_is_not_asked_for() {
    let scene = ListScene::new().await;
    let reader = scene.reader(ACCOUNT, Queues, Credential::Code(CODE.to_owned().into()), Method::Post);
    assert!(reader.due_in(0, at(0)).await.unwrap().unwrap().is_zero());
    scene.store.pause_account(ACCOUNT, None).await.unwrap();
    assert_eq!(reader.due_in(0, at(0)).await.unwrap(), None);
    let unknown = scene.reader("nobody", Queues, Credential::Code(CODE.to_owned().into()), Method::Post);
    assert_eq!(unknown.due_in(0, at(0)).await.unwrap(), None);
}
