//! Decoding of large answers on other threads.

use crate::answer_memory::AccountMemory;

/// Does the work for a large answer on another thread, in its turn.
pub(super) async fn on_another_thread<T: Send + 'static>(
    memory: &AccountMemory,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let turn = memory.turn_to_decode().await;
    let working = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    match working.await {
        Ok(done) => done,
        // A bug like any other in the account's task: its supervisor reports it.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending, and this task ends with it.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::answer_memory::AnswerMemory;

    #[tokio::test]
    async fn a_panic_in_decoding_is_the_accounts_own_and_frees_its_memory() {
        let memory = AnswerMemory::for_answers_of(0);
        let (account, other) = (memory.account(), memory.account());
        let (mut held, whole) = (account.nothing(), 16 << 20);
        assert!(held.grows_without_waiting(whole));
        assert!(!other.nothing().grows_without_waiting(1), "everything is held");
        let decoding = tokio::spawn(async move {
            on_another_thread(&account, move || {
                let _held = held;
                panic!("a bug in decoding");
            })
            .await
        });
        let error = decoding.await.map(|()| "it ended").unwrap_err();
        assert!(error.is_panic(), "{error}");
        assert!(other.nothing().grows_without_waiting(whole));
        let next = on_another_thread(&other, || "decoded");
        assert_eq!(tokio::time::timeout(Duration::from_secs(10), next).await, Ok("decoded"));
    }
}
