//! A receiver by the test's clock: it takes notifications over HTTP into the inbox, and they are joined when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::routing::any;
use cdr_sync::clock::{Clock, ManualClock};
use cdr_sync::joining::{Joining, Seen};
use cdr_sync::metrics::Metrics;
use cdr_sync::push::KeyHash;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::mirror::scene::{MirrorScene, configuration};

pub const KEY: &str = "K3y-of-a-receiver-that-nobody-may-read";
pub struct Receiving {
    listener: Option<TcpListener>,
    url: String,
    inbox: Option<Arc<Inbox>>,
    joining: Option<(Joining, Seen, Metrics)>,
    /// When it was running while notifications were to be expected.
    pub was_up: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    is_up: bool,
    _server: Option<AbortOnDropHandle<()>>,
}

struct Inbox {
    connection: Mutex<PgConnection>,
    clock: ManualClock,
    is_running: AtomicBool,
    received: AtomicI64,
}

impl Receiving {
    /// Where notifications are to be sent.
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/push/main/{KEY}", listener.local_addr().unwrap());
        Self {
            listener: Some(listener),
            url,
            inbox: None,
            joining: None,
            was_up: Vec::new(),
            is_up: false,
            _server: None,
        }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// What turns it on in a configuration.
    pub fn env(&self) -> [(&'static str, String); 2] {
        [
            ("CDR_SYNC__PUSH__LISTEN", "127.0.0.1:1".to_owned()),
            ("CDR_SYNC__PUSH__KEYS", KeyHash::of(KEY).to_string()),
        ]
    }

    /// Receives for the account of this scene from now on.
    pub async fn serve(&mut self, scene: &MirrorScene) {
        let inbox = Arc::new(Inbox {
            connection: Mutex::new(scene.database.sql().await),
            clock: scene.clock.clone(),
            is_running: AtomicBool::new(true),
            received: AtomicI64::new(0),
        });
        let app = Router::new().fallback(any(receive)).with_state(Arc::clone(&inbox));
        let listener = self.listener.take().unwrap();
        let serving = async move { axum::serve(listener, app).await.unwrap() };
        self._server = Some(AbortOnDropHandle::new(tokio::spawn(serving)));
        self.inbox = Some(inbox);
        let account = [
            ("DATABASE_URL", scene.database.url().to_owned()),
            ("CDR_SYNC__ACCOUNTS__0__NAME", scene.account.name.clone()),
            ("CDR_SYNC__ACCOUNTS__0__CODE", "code".to_owned()),
        ];
        let config = configuration(account.into_iter().chain(self.env()));
        let metrics = Metrics::new().unwrap();
        let clock = Clock::Manual(scene.clock.clone());
        let joining = Joining::new(&config, scene.store.clone(), clock, metrics.clone());
        self.joining = Some((joining, Seen::default(), metrics));
    }

    fn inbox(&self) -> &Inbox {
        self.inbox.as_ref().unwrap()
    }

    /// While it is not running, whoever sends is answered as by a proxy in front of it.
    pub fn stop(&mut self) {
        self.inbox().is_running.store(false, Ordering::Relaxed);
        self.is_up = false;
    }

    pub fn run(&self) {
        self.inbox().is_running.store(true, Ordering::Relaxed);
    }

    /// A turn of the joining while it is running. Where turns are further apart than a daemon's, what those between them
    /// would note is noted here.
    pub async fn turn(&mut self, scene: &MirrorScene, is_noted_by_hand: bool) {
        let now = scene.now();
        // Where none ever came, none is expected.
        if self.inbox().received.load(Ordering::Relaxed) > 0 {
            match self.was_up.last_mut().filter(|_| self.is_up) {
                Some((_, until)) => *until = now,
                None => self.was_up.push((now, now)),
            }
            self.is_up = true;
        }
        if let Some((from, until)) = self.was_up.last().filter(|_| is_noted_by_hand) {
            let note = "insert into cdr_sync.push_uptime values ('main', $1, $2)
                        on conflict (account, from_at) do update set until_at = excluded.until_at";
            let note = sqlx::query(note).bind(from).bind(until);
            note.execute(&mut *self.inbox().connection.lock().await).await.unwrap();
        }
        self.join().await;
    }

    pub async fn join(&mut self) {
        let (joining, seen, _) = self.joining.as_mut().unwrap();
        joining.turn(seen).await.unwrap();
    }

    pub fn metrics(&self, now: DateTime<Utc>) -> String {
        self.joining.as_ref().unwrap().2.expose(&[], true, now)
    }
}

/// Stores a notification as the receiver does.
async fn receive(
    State(inbox): State<Arc<Inbox>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> &'static str {
    if !inbox.is_running.load(Ordering::Relaxed) {
        return "";
    }
    let content_type = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap());
    let (content_type, body) = match body.is_empty() {
        true => (Some("application/x-www-form-urlencoded"), Bytes::from(query.unwrap_or_default())),
        false => (content_type, body),
    };
    // No two at once, as in the world.
    let received_at =
        inbox.clock.now() + TimeDelta::microseconds(inbox.received.fetch_add(1, Ordering::Relaxed));
    let insert = "insert into cdr_sync.push as p (account, body_sha256, received_at, last_received_at, content_type, raw, state)
                  values ('main', sha256($2), $1, $1, $3, $2, 'new')
                  on conflict (account, body_sha256) do update
                  set times = p.times + 1, last_received_at = excluded.last_received_at";
    sqlx::query(insert)
        .bind(received_at)
        .bind(&body[..])
        .bind(content_type)
        .execute(&mut *inbox.connection.lock().await)
        .await
        .unwrap();
    "{\"Err\":0,\"Errdesc\":\"OK\"}"
}
