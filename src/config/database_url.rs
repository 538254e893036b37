//! `database.url`: parameters that the driver does not support are removed, since it would log their names and values.

use secrecy::SecretString;
use url::Url;

/// The parameters that the driver knows (sqlx-postgres, `PgConnectOptions`).
const KNOWN: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

pub(super) struct DatabaseUrl {
    /// The address with supported parameters only.
    pub url: SecretString,
    /// The names of the removed parameters.
    pub ignored: Vec<String>,
}

/// Reads an address. The error describes the problem without showing the address, which holds a password.
pub(super) fn read(text: &str) -> Result<DatabaseUrl, String> {
    let text = with_host(text.trim());
    let refuse = |wrong: String| {
        format!("expected postgres://user:password@host/database (what is there is not shown): {wrong}")
    };
    let mut url = Url::parse(&text).map_err(|error| {
        refuse(format!("{error}; in a password, write @ as %40, / as %2F, : as %3A, # as %23, % as %25"))
    })?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(refuse("it begins otherwise".to_owned()));
    }
    if url.fragment().is_some() {
        return Err(refuse("it has a #, which in a password is written %23".to_owned()));
    }
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let is_known = |name: &str| KNOWN.contains(&name) || name.starts_with("options[");
    let (mut kept, ignored): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| is_known(name));
    let system = verify_by_the_system(&mut kept);
    for (name, value) in &kept {
        readable(name, value).map_err(refuse)?;
    }
    if ignored.is_empty() && !system {
        return Ok(DatabaseUrl { url: text.into(), ignored: Vec::new() });
    }
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    let ignored = ignored.into_iter().map(|(name, _)| name).collect();
    Ok(DatabaseUrl { url: String::from(url).into(), ignored })
}

/// The parameters that name a file, or hold its content.
const FILES: [&str; 7] =
    ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"];

/// `sslrootcert=system` means to libpq: the system's authorities, verified in full. The driver knows these anyway, and
/// would look for a file of that name. Returns `true` if it was there.
fn verify_by_the_system(pairs: &mut Vec<(String, String)>) -> bool {
    let asks = |(name, value): &(String, String)| name == "sslrootcert" && value == "system";
    if !pairs.iter().any(asks) {
        return false;
    }
    pairs.retain(|pair| !asks(pair) && !matches!(pair.0.as_str(), "sslmode" | "ssl-mode"));
    pairs.push(("sslmode".to_owned(), "verify-full".to_owned()));
    true
}

/// Without this check, a missing file would look like an unreachable server.
fn readable(name: &str, value: &str) -> Result<(), String> {
    if !FILES.contains(&name) || value.trim_start().starts_with("-----BEGIN") {
        return Ok(());
    }
    let opened = std::fs::File::open(value);
    opened.map(drop).map_err(|error| format!("the file that {name} names cannot be read ({error})"))
}

/// `postgres://user:password@/database?host=/a/directory` has its host in a parameter, but a URL needs one before the
/// path, too.
fn with_host(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.find(['/', '?', '#']).and_then(|end| rest.split_at_checked(end));
    match authority {
        Some((user, path)) if user.ends_with('@') => format!("{scheme}://{user}localhost{path}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(text: &str) -> (String, Vec<String>) {
        let DatabaseUrl { url, ignored } =
            super::read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (url.expose_secret().to_owned(), ignored)
    }

    #[test]
    fn what_the_driver_does_not_know_is_taken_out_and_named() {
        let (url, ignored) = read(
            "postgres://u:p%40w@h:5/d?sslmode=require&sslpassword=HUSH&application_name=a%20b&Password=HUSH&options=-c%20x%3D1",
        );
        assert_eq!(url, "postgres://u:p%40w@h:5/d?sslmode=require&application_name=a+b&options=-c+x%3D1");
        assert_eq!(ignored, ["sslpassword", "Password"]);
        assert_eq!(read("postgres://u@h/d?passwd=HUSH"), ("postgres://u@h/d".into(), vec!["passwd".into()]));
    }

    #[test]
    fn an_address_that_the_driver_knows_all_of_stays_as_it_is() {
        for url in [
            "postgres://u:p@h/d",
            "postgresql:///d?host=/run/postgresql",
            "postgres://u@h/d?options[search_path]=x&sslmode=disable&hostaddr=127.0.0.1",
        ] {
            assert_eq!(read(url), (url.into(), vec![]));
        }
    }

    #[test]
    fn a_socket_directory_may_stand_behind_a_user() {
        let (url, ignored) = read("postgres://u:p@/d?host=/tmp/x&port=5433");
        assert_eq!((&*url, ignored.len()), ("postgres://u:p@localhost/d?host=/tmp/x&port=5433", 0));
    }

    #[test]
    fn the_systems_authorities_are_asked_for_as_libpq_does() {
        let (url, ignored) = read("postgres://u@h/d?sslmode=require&sslrootcert=system&user=x");
        assert_eq!((&*url, ignored.len()), ("postgres://u@h/d?user=x&sslmode=verify-full", 0));
    }

    #[test]
    fn a_certificate_file_that_is_not_there_is_a_wrong_configuration() {
        for name in FILES {
            let text = format!("postgres://u:hidden@h/d?sslmode=verify-full&{name}=/there/is/no/such.pem");
            let Err(error) = super::read(&text) else { panic!("{name} was taken") };
            assert!(error.contains(name) && !error.contains("hidden"), "{error}");
        }
        let inline = "postgres://u@h/d?sslrootcert=-----BEGIN%20CERTIFICATE-----";
        assert!(super::read(inline).is_ok());
    }

    #[test]
    fn every_known_parameter_is_the_drivers() {
        // The driver logs those that it does not know, with their values: the list must not be longer than its own.
        for name in KNOWN {
            let value = match name {
                "sslmode" | "ssl-mode" => "disable",
                "statement-cache-capacity" | "port" => "1",
                "hostaddr" => "127.0.0.1",
                _ => "x",
            };
            let parse =
                || format!("postgres://h/d?{name}={value}").parse::<sqlx::postgres::PgConnectOptions>();
            let said = crate::telemetry::tests::lines_of(|| drop(parse()));
            assert!(parse().is_ok() && !said.contains("unrecognized"), "{name}: {said}");
        }
    }
}
