//! `[[accounts]]`: whose calls are mirrored, and with which credential.

use chrono_tz::Tz;
use config::{Map, Value};
use secrecy::SecretString;
use url::Url;

use super::error::ConfigProblem;
use super::reader::Section;
use super::{
    ApiConfig, Country, Credential, HistoryStart, IdentityCriteria, ReportingConfig, SyncConfig, kind,
};

/// One account; what it does not set itself is filled in from `[api]` and `[sync]`.
#[derive(Clone, Debug)]
pub struct AccountConfig {
    /// The account's name, which is the column `account` of every row.
    pub name: String,
    /// The code or token that requests are sent with.
    pub credential: Credential,
    /// `accounts.ai_token`: the token that analyses of its calls are asked for with; `None`: none is asked for.
    pub ai_token: Option<SecretString>,
    /// The API's address for this account.
    pub url: Url,
    /// The time zone of dates without one.
    pub timezone: Tz,
    /// The zone of the days and hours that its calls are counted by.
    pub reporting_timezone: Tz,
    /// The country of its numbers that name none.
    pub reporting_country: Country,
    /// How far back the account's history is filled.
    pub start: HistoryStart,
    /// Only calls of these numbers; empty: all.
    pub phones: Vec<String>,
    /// Only calls of these extensions; empty: all.
    pub extensions: Vec<String>,
    /// Whose calls are requested; `None` leaves that to the API.
    pub identity_criteria: Option<IdentityCriteria>,
    /// Only these types of CDR; empty: all.
    pub cdr_types: Vec<i32>,
    /// The most requests per minute with this credential.
    pub requests_per_minute: u32,
}

/// Reads all accounts; `None` if something is wrong with one.
pub(super) fn read(
    root: &mut Section<'_>,
    api: Option<&ApiConfig>,
    sync: Option<&SyncConfig>,
    reporting: Option<ReportingConfig>,
) -> Option<Vec<AccountConfig>> {
    let tables = root.tables("accounts");
    let only = tables.len() == 1;
    let accounts: Vec<Option<AccountConfig>> = tables
        .into_iter()
        .enumerate()
        .map(|(index, table)| account(root, index, table, only, (api, sync, reporting)))
        .collect();
    accounts.into_iter().collect()
}

fn account(
    root: &mut Section<'_>,
    index: usize,
    table: Map<String, Value>,
    only: bool,
    (api, sync, reporting): (Option<&ApiConfig>, Option<&SyncConfig>, Option<ReportingConfig>),
) -> Option<AccountConfig> {
    let mut section = root.item("accounts", index, table);
    // Several accounts without names could not be distinguished in the table.
    let name = if only { section.value("name", kind::TEXT, "default") } else { required_name(&mut section) };
    let credential = credential(&mut section);
    let ai_token = section.secret("ai_token");
    let url = section.optional("url", kind::URL);
    let timezone = section.optional("timezone", kind::TIMEZONE);
    let reporting_timezone = section.optional("reporting_timezone", kind::TIMEZONE);
    let reporting_country = section.optional("reporting_country", kind::COUNTRY);
    let start = section.optional("start", kind::INSTANT);
    let phones = section.list("phones", kind::TEXT, &[]);
    let extensions = section.list("extensions", kind::TEXT, &[]);
    let identity_criteria = section.optional("identity_criteria", kind::IDENTITY);
    let cdr_types = section.list("cdr_types", kind::INTEGER, &[]);
    let requests_per_minute = section.optional("requests_per_minute", kind::POSITIVE);
    section.leave();
    let (api, sync, reporting) = (api?, sync?, reporting?);
    Some(AccountConfig {
        name: name?,
        credential: credential?,
        ai_token,
        url: url.unwrap_or_else(|| api.url.clone()),
        timezone: timezone.unwrap_or(api.timezone),
        reporting_timezone: reporting_timezone.unwrap_or(reporting.timezone),
        reporting_country: reporting_country.unwrap_or(reporting.country),
        start: start.map_or(sync.start, HistoryStart::At),
        phones: phones?,
        extensions: extensions?,
        identity_criteria,
        cdr_types: cdr_types?,
        requests_per_minute: requests_per_minute.unwrap_or(api.requests_per_minute),
    })
}

fn required_name(section: &mut Section<'_>) -> Option<String> {
    if !section.has("name") {
        let key = section.key("name");
        section.problem(ConfigProblem::missing(&key, "each of several accounts needs a name of its own"));
    }
    section.optional("name", kind::TEXT)
}

fn credential(section: &mut Section<'_>) -> Option<Credential> {
    let (has_code, has_token) = (section.has("code"), section.has("token"));
    let (code, token) = (section.secret("code"), section.secret("token"));
    if has_code == has_token {
        let (code, token) = (section.key("code"), section.key("token"));
        let problem = if has_code {
            let sources = [section.origin(&code), section.origin(&token)].join(" and ");
            let message = format!("both {code} and {token} are set: an account has one of them");
            ConfigProblem { key: code, value: None, source: Some(sources), message }
        } else {
            ConfigProblem::missing(
                &code,
                &format!("set it or {token} (one account: VOICENTER_CODE or VOICENTER_TOKEN)"),
            )
        };
        section.problem(problem);
        return None;
    }
    code.map(Credential::Code).or(token.map(Credential::Token))
}
