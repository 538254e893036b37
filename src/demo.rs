//! `demo`: simulator, private database and daemon, without any configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::{Clock, ManualClock};
use crate::config::{Config, ConfigError, LogConfig, Sources};
use crate::daemon::{Daemon, DaemonError, Listeners};
use crate::http::{self, BindError};
use crate::plan::Mode;
use crate::push::{KeyHash, new_key};
use crate::setup::{self, SetupError};
use crate::store::{Store, StoreError};
use crate::sync::SyncError;
use crate::sync::engine::Engine;
use crate::sync::leadership::Leases;
use crate::sync::status::ProgressWatch;
use crate::sync::verify::{Verified, verify};
use crate::telemetry;
use crate::window::Window;
use private_postgres::{self, Options, ProgramSource, Server};
use voicenter_simulator::{
    ListName, PushOptions, Simulator, SimulatorError, SimulatorOptions, World, WorldClock, WorldOptions,
};

/// Calls of the last days that the simulator starts with: enough for the page to show a week before the last two.
const DAYS: TimeDelta = TimeDelta::days(9);
const CALLS_PER_DAY: f64 = 10_000.0;
const ACCOUNT: &str = "demo";
const POLL_INTERVAL: TimeDelta = TimeDelta::seconds(5);

/// The options of `cdr-sync demo`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  cdr-sync demo           run until Ctrl-C: status page, calls as they arrive, queries to try\n  cdr-sync demo --once    sync, compare with the API, exit"
)]
pub struct DemoArgs {
    /// Sync, compare with the API, and exit with status 0 only if they agree.
    #[arg(long)]
    once: bool,
    /// Keep the database in this directory, and reuse it if it exists.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Serve the status page at this address; by default 127.0.0.1:8080, or any free port if that one is in use.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The private database cannot be started.
    #[error(transparent)]
    Database(#[from] private_postgres::Error),
    /// The simulator cannot be started.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// The demo's own configuration is wrong, a bug in this program.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database, a client or an account could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The daemon could not start.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// The daemon ended by itself.
    #[error("the daemon has ended; the log shows why")]
    Ended,
    /// The address of the page cannot be bound.
    #[error(transparent)]
    Page(#[from] BindError),
    /// Nothing can be pushed to the demo.
    #[error("no CDR notification can be received: {0}")]
    Receiver(std::io::Error),
    /// The pass of `--once` failed.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The database failed while the demo was running.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task panicked, a bug in this program.
    #[error("a task of the demo panicked: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Runs the demo. With `--once`, returns `true` if the table agreed with the API.
///
/// # Errors
/// If a part cannot be started; the message contains advice.
pub async fn run(args: DemoArgs, clock: Clock, stop: impl Future<Output = ()>) -> Result<bool, DemoError> {
    telemetry::install(&LogConfig { format: None, level: "warn".into() });
    eprintln!("starting a private PostgreSQL and a simulated Voicenter API ...");
    let server = start_database(args.data).await?;
    // For one comparison the simulated world is frozen; otherwise it follows the host's clock.
    let world_clock = if args.once { Clock::Manual(ManualClock::new(clock.now())) } else { clock.clone() };
    let now = world_clock.now();
    let start = now.duration_trunc(TimeDelta::days(1)).unwrap_or(now) - DAYS;
    let world = WorldOptions { calls_per_day: CALLS_PER_DAY, from: start, ..WorldOptions::call_centre() };
    let receiver = Receiving::open().await?;
    let options = SimulatorOptions { world, push: receiver.pushes(), ..SimulatorOptions::default() };
    let code = options.code.clone();
    let simulator = Simulator::start(options, world_clock).await?;
    let config = config(&server, &simulator, &receiver, &code, start)?;
    let store = setup::open_store(&config)?;
    store.migrate().await?;
    // A reused database holds the calls of another simulated world, so each demo starts empty.
    match store.forget_account(ACCOUNT, true).await {
        Ok(_) | Err(StoreError::UnknownAccount(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let agreed = if args.once {
        once(&config, store, &simulator, start, now, clock).await?
    } else {
        tokio::select! {
            ended = go_on(config, store, &server, &simulator, receiver, clock, args.listen) => ended?,
            () = stop => eprintln!("stopping ..."),
        }
        true
    };
    simulator.stop().await;
    tokio::task::spawn_blocking(move || drop(server)).await?;
    Ok(agreed)
}

/// Where the simulated company has its calls pushed to.
struct Receiving {
    listener: TcpListener,
    address: SocketAddr,
    key: String,
}

impl Receiving {
    async fn open() -> Result<Self, DemoError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(DemoError::Receiver)?;
        let address = listener.local_addr().map_err(DemoError::Receiver)?;
        let key = new_key().map_err(|error| DemoError::Receiver(std::io::Error::other(error)))?;
        Ok(Self { listener, address, key })
    }

    /// Calls are pushed soon after their end, for something to be seen. While the world is frozen nothing ends.
    fn pushes(&self) -> Option<PushOptions> {
        let url = format!("http://{}/push/{ACCOUNT}/{}", self.address, self.key);
        let delay = (TimeDelta::seconds(2), TimeDelta::seconds(40));
        Some(PushOptions { delay, in_background: true, ..PushOptions::to(url) })
    }
}

async fn start_database(data: Option<PathBuf>) -> Result<Server, DemoError> {
    let given = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()).map(SecretString::from);
    let options = Options { data, source: ProgramSource::from_env(), ..Options::default() };
    Ok(tokio::task::spawn_blocking(move || Server::obtain(given, options)).await??)
}

/// The demo is configured by environment variables like any daemon, but not by those of the process.
fn config(
    server: &Server,
    simulator: &Simulator,
    receiver: &Receiving,
    code: &SecretString,
    start: DateTime<Utc>,
) -> Result<Config, ConfigError> {
    let env = [
        ("DATABASE_URL", server.url().expose_secret().to_owned()),
        ("CDR_SYNC__ACCOUNTS__0__NAME", ACCOUNT.to_owned()),
        ("CDR_SYNC__ACCOUNTS__0__CODE", code.expose_secret().to_owned()),
        ("CDR_SYNC__API__URL", simulator.url()),
        ("CDR_SYNC__SYNC__START", start.to_rfc3339()),
        ("CDR_SYNC__SYNC__POLL_INTERVAL", format!("{}s", POLL_INTERVAL.num_seconds())),
        ("CDR_SYNC__PUSH__LISTEN", receiver.address.to_string()),
        ("CDR_SYNC__PUSH__KEYS", KeyHash::of(&receiver.key).to_string()),
        ("CDR_SYNC__REFERENCE__ENABLED", "true".to_owned()),
        ("CDR_SYNC__REFERENCE__EXTENSIONS_URL", simulator.list_url(ListName::Extensions)),
        ("CDR_SYNC__REFERENCE__QUEUES_URL", simulator.list_url(ListName::Queues)),
    ];
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value));
    // Files in the current directory must not matter.
    Config::load(Sources {
        file: None,
        env,
        working_dir: std::env::temp_dir().join("cdr-sync-demo-has-no-files"),
    })
}

/// Runs one pass and compares the table with the API.
async fn once(
    config: &Config,
    store: Store,
    simulator: &Simulator,
    start: DateTime<Utc>,
    now: DateTime<Utc>,
    clock: Clock,
) -> Result<bool, DemoError> {
    let mut agreed = true;
    for account in setup::accounts(config, &store).await? {
        let watch = ProgressWatch::default();
        let leases = Leases::new(&store);
        let verified_account = account.clone();
        let mut engine =
            Engine::open(account, store.clone(), clock.clone(), &leases, Mode::Pass, watch.clone()).await?;
        let ended = engine.run().await;
        engine.close().await?;
        ended?;
        let synced = watch.read();
        println!("synced {} records in {} requests\n", synced.records, synced.requests);
        let Some(span) = Window::new(start, now) else { continue };
        let days = by_day(&store, simulator, span, now).await?;
        println!("day          at the API  in the table");
        for (day, (api, table)) in &days {
            println!("{day}  {api:>11}  {table:>12}");
        }
        let verified =
            verify(verified_account, &store, clock.clone(), span, ProgressWatch::default(), false).await?;
        println!("\n{}", verdict(&verified));
        agreed &=
            verified.is_equal() && verified.at_the_api > 0 && days.values().all(|(api, table)| api == table);
    }
    Ok(agreed)
}

fn verdict(verified: &Verified) -> String {
    let Verified { at_the_api, in_the_table, missing, different, extra, .. } = verified;
    let word = if verified.is_equal() { "they agree" } else { "THEY DIFFER" };
    format!(
        "the API shows {at_the_api} records, the table holds {in_the_table}: {missing} missing, {different} different, {extra} extra: {word}"
    )
}

/// Records by day at the simulator and in the table.
async fn by_day(
    store: &Store,
    simulator: &Simulator,
    span: Window,
    now: DateTime<Utc>,
) -> Result<BTreeMap<String, (u64, u64)>, StoreError> {
    let day = |instant: DateTime<Utc>| instant.format("%Y-%m-%d").to_string();
    let mut days: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in simulator.truth(now, span.from(), span.to()) {
        days.entry(day(row.started_at)).or_default().0 += 1;
    }
    let mut rows = store.read_span(ACCOUNT, span);
    while let Some((row, removed_at)) = rows.next().await? {
        if removed_at.is_none() {
            days.entry(day(row.started_at)).or_default().1 += 1;
        }
    }
    Ok(days)
}

/// Runs the daemon and prints arriving calls until it is stopped.
async fn go_on(
    config: Config,
    store: Store,
    server: &Server,
    simulator: &Simulator,
    receiver: Receiving,
    clock: Clock,
    listen: Option<SocketAddr>,
) -> Result<(), DemoError> {
    let daemon = Daemon::new(config, clock.clone())?.into_guest();
    let watch = daemon.watch(ACCOUNT).unwrap_or_default();
    let listener = listener(listen).await?;
    let page = listener.local_addr().map(|address| format!("http://{address}/")).unwrap_or_default();
    eprintln!("syncing; watch it at {page}");
    let listeners = Listeners { page: Some(listener), push: Some(receiver.listener) };
    let stop = CancellationToken::new();
    let _stopped_with_us = stop.clone().drop_guard();
    let _calls = AbortOnDropHandle::new(tokio::spawn(ring(simulator.world().clone(), clock.clone())));
    tokio::select! {
        ended = Box::pin(daemon.run(listeners, None, stop)) => {
            ended?;
            Err(DemoError::Ended)
        }
        failed = show(&watch, &page, &store, server, &clock) => failed,
    }
}

/// Prints what can be looked at once there is something, then calls as they arrive.
async fn show(
    watch: &ProgressWatch,
    page: &str,
    store: &Store,
    server: &Server,
    clock: &Clock,
) -> Result<(), DemoError> {
    let mut changes = watch.subscribe();
    // The watch lives as long as this function.
    let _ = changes.wait_for(|progress| progress.caught_up).await;
    let synced = watch.read();
    println!("\nsynced {} records of the last days in {} requests\n", synced.records, synced.requests);
    let url = match server {
        // DATABASE_URL may hold a password, so it is not printed.
        Server::Given(_) => "$DATABASE_URL".to_owned(),
        Server::Private(_) => server.url().expose_secret().to_owned(),
    };
    println!("status page:\n  {page}\n");
    println!("connection string:\n  {url}\n");
    println!("try:");
    for query in QUERIES {
        println!("  psql \"{url}\" -c \"{query}\"");
    }
    println!("\ncalls as they arrive (Ctrl-C ends the demo):");
    show_calls(store, clock).await
}

/// Binds the wanted address, which must be free; otherwise the default one, or any free port.
async fn listener(wanted: Option<SocketAddr>) -> Result<TcpListener, BindError> {
    if let Some(wanted) = wanted {
        return http::bind(wanted).await;
    }
    let usual = SocketAddr::from(([127, 0, 0, 1], 8080));
    match http::bind(usual).await {
        Ok(listener) => Ok(listener),
        Err(_) => http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await,
    }
}

const QUERIES: [&str; 4] = [
    "select date_trunc('hour', started_at) as hour, count(*) as calls from voicenter.cdr group by 1 order by 1 desc limit 24",
    "select started_at, type, caller_number, target_number, dial_status, duration_seconds from voicenter.cdr order by started_at desc limit 10",
    "select day, calls, incoming, missed, abandoned, round(talk_seconds / 3600) as talk_hours from voicenter.calls_daily order by day",
    "select started_at, type, source, queue_wait_seconds, talk_seconds, campaign_name from voicenter.records where source <> 'pull' order by started_at desc limit 10",
];

impl From<Clock> for WorldClock {
    fn from(clock: Clock) -> Self {
        WorldClock::new(move || clock.now())
    }
}

/// While the simulated company is closed, calls like its own arrive all the same, for something to be seen.
async fn ring(world: World, clock: Clock) {
    let hour = TimeDelta::hours(1);
    let mut began = clock.now();
    loop {
        let Ok(this_hour) = began.duration_trunc(hour) else { return };
        for (ended, record) in world.after_hours_calls(this_hour) {
            // Those that ended before the demo began never took place.
            if ended >= began {
                clock.sleep_until(ended).await;
                world.insert(record, clock.now());
            }
        }
        began = this_hour + hour;
        clock.sleep_until(began).await;
    }
}

/// Prints the newest rows of the table, each once.
async fn show_calls(store: &Store, clock: &Clock) -> Result<(), DemoError> {
    let mut shown = BTreeSet::new();
    let mut first = true;
    loop {
        let now = clock.now();
        if let Some(span) = Window::new(now - TimeDelta::minutes(30), now + TimeDelta::minutes(1)) {
            let mut rows = store.read_span(ACCOUNT, span);
            while let Some((cdr, _)) = rows.next().await? {
                if shown.insert(cdr.key.clone()) && !first {
                    let text = |value: &Option<String>| value.clone().unwrap_or_default();
                    println!(
                        "{}  {:<20} {:>12} → {:<12} {:<9} {:>4} s",
                        cdr.started_at.format("%H:%M:%S"),
                        cdr.key.call_type,
                        text(&cdr.caller_number),
                        text(&cdr.target_number),
                        text(&cdr.dial_status),
                        cdr.duration_seconds.unwrap_or(0),
                    );
                }
            }
        }
        first = false;
        clock.sleep(Duration::from_secs(2)).await;
    }
}
