//! `check`: tries configuration, database and API, and changes nothing.

mod database;
mod pushes;
mod recording;
mod reference;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::paced_session::PacedSession;
use super::table::Paint;
use super::{CliError, Exit};
use crate::clock::Clock;
use crate::config::{AccountConfig, Config};
use crate::notify::{Channel, Sender};
use crate::setup::{self, SetupError};
use crate::store::Store;
use crate::voicenter::zone_check::{self, AskedBounds, ZoneSigns, ZoneVerdict};
use crate::voicenter::{Action, Answer, ApiError, Capability, Question};
use crate::window::Window;

/// The API's clock and this host's may differ by this much.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// A `todate` this far before the present is accepted even by an API whose clock is a little behind.
const BEHIND: TimeDelta = TimeDelta::minutes(-2);

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// Print instead what the records of the last 30 days in the database say about questions that the API's documents
    /// leave open, such as what Duration holds. It names no person and no number.
    #[arg(long)]
    pub(super) semantics: bool,
    /// Send a test as well by each way that [notify] configures.
    #[arg(long, conflicts_with = "semantics")]
    pub(super) notify: bool,
    /// Fetch the beginning of the newest recording as well, once and without a credential, and say what came.
    #[arg(long, conflicts_with = "semantics")]
    pub(super) recording: bool,
    /// Print JSON instead of lines.
    #[arg(long, conflicts_with = "semantics")]
    pub(super) json: bool,
}

/// Prints findings, or collects them for JSON, and remembers the exit status of the worst.
struct Findings {
    exit: Exit,
    paint: Paint,
    /// As JSON; `None` if they are printed as they come.
    collected: Option<Vec<Value>>,
}

impl Findings {
    fn good(&mut self, line: &str) {
        self.tell("good", line, None);
    }

    /// Something to know, nothing to fix.
    fn note(&mut self, line: &str) {
        self.tell("note", line, None);
    }

    /// Something to consider: it works, but not as it should.
    fn warn(&mut self, line: &str, advice: &str) {
        self.tell("warn", line, Some(advice));
    }

    fn bad(&mut self, line: &str, advice: &str, exit: Exit) {
        self.tell("bad", line, Some(advice));
        if self.exit != Exit::Refused {
            self.exit = exit;
        }
    }

    fn tell(&mut self, level: &str, line: &str, advice: Option<&str>) {
        self.tell_more(level, line, advice, None);
    }

    /// The same with what JSON says of a recording.
    fn tell_more(&mut self, level: &str, line: &str, advice: Option<&str>, recording: Option<Value>) {
        if let Some(collected) = &mut self.collected {
            let mut finding = json!({ "level": level, "text": line, "advice": advice });
            if let (Some(recording), Value::Object(finding)) = (recording, &mut finding) {
                finding.insert("recording".to_owned(), recording);
            }
            collected.push(finding);
            return;
        }
        let sign = match level {
            "good" => self.paint.good("✓"),
            "warn" => self.paint.warn("!"),
            "bad" => self.paint.bad("✗"),
            _ => self.paint.quiet("·"),
        };
        println!("{sign} {line}");
        if let Some(advice) = advice {
            println!("    → {advice}");
        }
    }
}

pub(super) async fn run(config: &Config, args: CheckArgs, clock: Clock) -> Result<Exit, CliError> {
    let collected = args.json.then(Vec::new);
    let mut findings = Findings { exit: Exit::Done, paint: Paint::for_stdout(), collected };
    findings.good("the configuration is valid");
    proxy(&mut findings);
    let store = match setup::open_store(config) {
        Ok(store) => database::check(store, &mut findings).await,
        Err(SetupError::Config(_)) => {
            let advice = "set DATABASE_URL, for example postgres://user:password@host/database";
            findings.bad("no database is configured (database.url)", advice, Exit::Usage);
            None
        }
        Err(error) => {
            findings.bad(&error.to_string(), "check database.url", Exit::Usage);
            None
        }
    };
    if let Some(store) = &store {
        database::neighbours(config, store, &mut findings).await;
    }
    match config.require_accounts() {
        Ok(accounts) => {
            for account in accounts {
                database::scope(account, store.as_ref(), &mut findings).await;
                api(config, account, store.as_ref(), args.recording, &clock, &mut findings).await?;
                reference::lists(config, account, &mut findings).await?;
                if let (Some(store), Some(_)) = (&store, config.push.listen) {
                    pushes::check(&account.name, store, clock.now(), &mut findings).await;
                }
            }
        }
        Err(_) => {
            let advice = "set VOICENTER_CODE or VOICENTER_TOKEN, or write an [[accounts]] table";
            findings.bad("no account is configured (accounts)", advice, Exit::Usage);
        }
    }
    if args.notify {
        notify(config, &clock, &mut findings).await;
    }
    if let Some(collected) = &findings.collected {
        println!("{}", json!({ "ok": findings.exit == Exit::Done, "findings": collected }));
    }
    Ok(findings.exit)
}

/// Sends a test by each way.
async fn notify(config: &Config, clock: &Clock, findings: &mut Findings) {
    if !config.notify.is_on() {
        let advice = "set notify.webhook, or notify.smtp with notify.mail_from and notify.mail_to";
        return findings.bad(
            "nobody would be told of trouble: [notify] is not configured",
            advice,
            Exit::Usage,
        );
    }
    let sender = match Sender::new(&config.notify) {
        Ok(sender) => sender,
        Err(error) => return findings.bad(&error, "check the keys of [notify]", Exit::Usage),
    };
    for channel in sender.channels() {
        let (way, key) = match channel {
            Channel::Webhook => ("the webhook", "notify.webhook"),
            Channel::Mail => ("the mail server", "notify.smtp"),
        };
        match sender.test(channel, clock.now()).await {
            Ok(()) => findings.good(&format!("a test was sent: {way} has taken it")),
            Err(error) => {
                let advice = format!("check {key}, and that this host may reach it");
                findings.bad(&format!("{way} has not taken a test: {error}"), &advice, Exit::Failed);
            }
        }
    }
}

/// Notes that requests go through a proxy; its address may hold a password, so it is not shown.
fn proxy(findings: &mut Findings) {
    if let Some(name) = proxy_variable() {
        findings.note(&format!("requests to the API go through the proxy in {name}"));
    }
}

/// The variable that names a proxy.
fn proxy_variable() -> Option<&'static str> {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].into_iter().find(set)
}

struct Api<'a> {
    config: &'a Config,
    account: &'a AccountConfig,
    session: PacedSession<'a>,
    clock: &'a Clock,
}

async fn api(
    config: &Config,
    account: &AccountConfig,
    store: Option<&Store>,
    with_recording: bool,
    clock: &Clock,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let client = setup::client(config, account).map_err(SetupError::from)?;
    let session = PacedSession::new(config, account, client, store, clock).await;
    let mut api = Api { config, account, session, clock };
    let newest = match api.newest().await {
        Ok(newest) => newest,
        Err(error) => {
            let exit =
                if matches!(error.action(), Action::Pause { .. }) { Exit::Refused } else { Exit::Failed };
            findings.bad(&format!("account {}: {error}", account.name), error.advice(), exit);
            return Ok(());
        }
    };
    findings.good(&format!(
        "account {}: the API answers ({} records in the last minutes)",
        account.name, newest.answer.listed
    ));
    clocks(&newest, findings);
    let lacks_recording = with_recording && recording::newest(newest.answer.records.iter()).is_none();
    let longest = api.longest(newest.answer.listed == 0 || lacks_recording, findings).await;
    api.note_what_is_left_out(findings);
    let seen = match newest.answer.listed {
        0 => longest.as_ref().filter(|longest| longest.answer.listed > 0),
        _ => Some(&newest),
    };
    match seen {
        Some(seen) => api.zone(seen, findings).await,
        None => api.without_records(longest.as_ref(), store, findings).await?,
    }
    if with_recording {
        let received = [Some(&newest), longest.as_ref()].into_iter().flatten();
        let records = received.flat_map(|received| &received.answer.records);
        recording::check(&account.name, records, &config.recording, findings).await;
    }
    Ok(())
}

struct Received {
    answer: Answer,
    question: Question,
    now: DateTime<Utc>,
}

impl Api<'_> {
    /// The last hour and a day ahead: a date later than the API's own clock shows a wrong time zone.
    async fn newest(&mut self) -> Result<Received, ApiError> {
        let (mut back, mut ahead) = (TimeDelta::hours(1), TimeDelta::days(1));
        loop {
            let now = self.clock.now();
            let error = match self.ask(now - back, now + ahead).await {
                Ok(seen) => return Ok(seen),
                Err(error) => error,
            };
            match error.action() {
                // A few minutes of calls show the zone just as well.
                Action::Split | Action::SplitTooLarge if back > TimeDelta::minutes(1) => back = back / 8,
                Action::Stop if ahead > TimeDelta::zero() => {
                    ahead = error.server_date().map_or(TimeDelta::zero(), |theirs| theirs - now);
                    ahead = ahead.min(TimeDelta::zero());
                }
                // An API whose clock is a little behind refuses the present, too.
                Action::Stop if ahead > BEHIND => ahead = BEHIND,
                _ => return Err(error),
            }
        }
    }

    /// Tries the longest configured window, and shorter ones while records are `wanted` and none can be returned.
    async fn longest(&mut self, wanted: bool, findings: &mut Findings) -> Option<Received> {
        let longest = self.config.sync.max_window;
        let (mut back, mut refused) = (longest, false);
        let error = loop {
            let now = self.clock.now();
            let error = match self.ask(now - back, now).await {
                Ok(seen) => return Some(seen),
                Err(error) => error,
            };
            match error.action() {
                // It accepts the range, but has more records than it returns at once.
                Action::Split | Action::SplitTooLarge => {}
                Action::Stop | Action::TooSlow if !refused => {
                    refused = true;
                    findings.note(&format!(
                        "account {}: {} (sync.max_window) at once is too long: {error}; the daemon finds out what the API accepts",
                        self.account.name,
                        length(longest)
                    ));
                }
                Action::Stop | Action::TooSlow => {}
                _ => break error,
            }
            if !wanted || back < TimeDelta::minutes(1) {
                return None;
            }
            back = back / 8;
        };
        let line = format!("account {}: a request for {} failed: {error}", self.account.name, length(back));
        findings.bad(&line, error.advice(), Exit::Failed);
        None
    }

    fn note_what_is_left_out(&self, findings: &mut Findings) {
        let dropped: Vec<_> = self.session.dropped().members().map(Capability::name).collect();
        if !dropped.is_empty() {
            let dropped = dropped.join(", ");
            let line = format!(
                "account {}: the API does not accept {dropped}: requests leave it out",
                self.account.name
            );
            findings.note(&line);
        }
    }

    /// Reports how the zone fits these records.
    async fn zone(&mut self, seen: &Received, findings: &mut Findings) {
        let (name, zone) = (&self.account.name, self.account.timezone);
        let asked = AskedBounds { from: seen.question.from, to: seen.question.to, now: seen.now };
        let shown = ZoneSigns::from(&seen.answer);
        let verdict = match seen.question.to > seen.now {
            true => zone_check::judge_newest(&shown, asked),
            false => zone_check::judge(&shown, asked),
        };
        let verdict = match verdict {
            ZoneVerdict::Undecided { call } => self.decide(call).await,
            verdict => verdict,
        };
        let verdict = match zone_check::by_call_ids_alone(&shown) {
            Some(contradiction)
                if verdict == ZoneVerdict::Silent && !zone_check::refutes_call_ids(&shown, asked) =>
            {
                ZoneVerdict::Contradicted(contradiction)
            }
            _ => verdict,
        };
        match verdict {
            ZoneVerdict::Contradicted(contradiction) => findings.bad(
                &format!("account {name}: {}", contradiction.shown(zone)),
                &contradiction.advice(zone, seen.now),
                Exit::Usage,
            ),
            ZoneVerdict::Fits => findings.good(&format!("account {name}: {zone} fits the dates received")),
            ZoneVerdict::Silent | ZoneVerdict::Undecided { .. } => findings.note(&format!(
                "account {name}: cannot tell whether {zone} fits: the records received do not show their zone"
            )),
        }
        if let Some(apart) = zone_check::hint(&shown) {
            findings.note(&format!(
                "account {name}: the time at the start of CallIDs, read as Israel's, differs from Date by {apart}: a hint that {zone} may be wrong"
            ));
        }
    }

    /// Looks for a known call in the configured zone and in another.
    async fn decide(&mut self, call: DateTime<Utc>) -> ZoneVerdict {
        let zone = self.account.timezone;
        let mut finds = async |(from, to)| {
            let around = self.ask(from, to).await.ok()?;
            Some(zone_check::finds(&ZoneSigns::from(&around.answer), call))
        };
        let here = finds(zone_check::around(call)).await;
        if here == Some(true) {
            return ZoneVerdict::Fits;
        }
        let elsewhere = finds(zone_check::around_elsewhere(call, zone)).await;
        if elsewhere == Some(true) || here == Some(false) && !zone_check::is_utc(zone, call) {
            return ZoneVerdict::Contradicted(zone_check::not_found(call, zone));
        }
        ZoneVerdict::Silent
    }

    /// Without records the zone cannot be judged; if calls are stored for that time, an empty answer is a failure.
    async fn without_records(
        &self,
        longest: Option<&Received>,
        store: Option<&Store>,
        findings: &mut Findings,
    ) -> Result<(), CliError> {
        let (name, zone) = (&self.account.name, self.account.timezone);
        // Only a window that was answered is known to be empty.
        let Some(empty) = longest else {
            findings
                .note(&format!("account {name}: cannot tell whether {zone} fits: no record was returned"));
            return Ok(());
        };
        let (from, to) = (empty.question.from, empty.question.to);
        let line = format!(
            "account {name}: cannot tell whether {zone} fits: no record was returned, not even in {}",
            length(to - from)
        );
        match (store, Window::new(from, to)) {
            (Some(store), Some(span)) if store.has_calls(name, span).await? => findings.bad(
                &format!("{line}, although calls are stored for that time"),
                "check what this credential may see, and api.timezone",
                Exit::Failed,
            ),
            _ => findings.note(&line),
        }
        Ok(())
    }

    /// Sends one request, in the fullest form that the server accepts.
    async fn ask(&mut self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Received, ApiError> {
        let question = Question::for_newest(setup::filter(self.account), from, to);
        let answer = self.session.ask(question.clone()).await?;
        Ok(Received { answer, question, now: self.clock.now() })
    }
}

fn length(span: TimeDelta) -> String {
    match (span.num_days(), span.num_hours()) {
        (0, hours) => format!("{hours} h"),
        (days, _) => format!("{days} d"),
    }
}

fn clocks(seen: &Received, findings: &mut Findings) {
    let Some(theirs) = seen.answer.server_date else { return };
    if (theirs - seen.now).abs() <= SKEW {
        return;
    }
    findings.bad(
        &format!("the API's clock differs from this host's by {} s", (theirs - seen.now).num_seconds()),
        "synchronise this host's clock by NTP: coverage never goes past the earlier of the two clocks",
        Exit::Failed,
    );
}
