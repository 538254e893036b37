//! Checks whether a database is fit to be written to, without changing anything.

use sqlx::postgres::PgSslMode;
use sqlx::{FromRow, PgConnection};

use super::{Store, StoreError, error, sql_as};

/// What PostgreSQL reports about the database and this program's role in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, FromRow)]
pub struct Environment {
    /// PostgreSQL's version, as `server_version` reports it.
    pub version: String,
    /// `true` if the role may create schemas in this database.
    pub may_create: bool,
    /// `true` if the role may create temporary tables. If not, large answers are stored in a slower way.
    pub may_stage: bool,
    /// Tables that the role may not fully read and write, views that it may not read, and functions that it may not call,
    /// once the schema is there.
    pub denied: Vec<String>,
    /// The most connections that the role, or everybody in this database, may have at once; `None` without a limit.
    pub connection_limit: Option<i32>,
    encoding: String,
    in_recovery: bool,
    read_only: bool,
    /// `cdr_sync.migration` exists: the schemas are this program's.
    ours: bool,
    /// Relations in the schemas `voicenter` and `cdr_sync`, each with its owner.
    relations: Vec<String>,
    /// Existing ones of the two schemas in which the role may not create anything, each with its owner.
    closed: Vec<String>,
    encrypted: bool,
}

/// Something that keeps this program from working in a database, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is in the way.
    pub what: String,
    /// What the operator should change.
    pub advice: String,
    /// A standby may become the primary, and a default may be reset: worth waiting for.
    passing: bool,
}

impl From<Obstacle> for StoreError {
    fn from(Obstacle { what, advice, passing }: Obstacle) -> Self {
        match passing {
            true => StoreError::NotAdmitted { reason: what, advice: error::READ_ONLY },
            false => StoreError::Environment { what, advice },
        }
    }
}

impl Environment {
    /// What keeps this program from working here, whoever its role is; empty if nothing does.
    pub fn obstacles(&self) -> Vec<Obstacle> {
        let mut found = Vec::new();
        let mut add = |what: String, advice: String, passing| found.push(Obstacle { what, advice, passing });
        if self.in_recovery {
            add("the database is a standby, which is read-only".into(), error::READ_ONLY.into(), true);
        } else if self.read_only {
            add(
                "transactions of this role are read-only here (default_transaction_read_only)".into(),
                error::READ_ONLY.into(),
                true,
            );
        }
        if self.encoding != "UTF8" {
            add(
                format!(
                    "the database's encoding is {}: it cannot hold every name and text; UTF8 can",
                    self.encoding
                ),
                "create database NAME encoding 'UTF8' template template0, and name it in database.url".into(),
                false,
            );
        }
        if !self.ours && !self.relations.is_empty() {
            add(
                format!(
                    "the database already holds {}, but no ledger of cdr-sync: nothing was changed",
                    listed(&self.relations)
                ),
                "use another database, or have the owner rename the schema (alter schema voicenter rename to ...); if \
                 only the schema cdr_sync was lost, restore it from the backup"
                    .into(),
                false,
            );
        } else if !self.ours && !self.closed.is_empty() {
            add(
                format!("the role may not create anything in {}", listed(&self.closed)),
                "have the owner drop the empty schema, or grant create, usage on it".into(),
                false,
            );
        }
        if !self.ours && !self.may_create {
            add("the role may not create schemas in this database".into(), CREATE.into(), false);
        }
        found
    }
}

const CREATE: &str =
    "grant create on database ... to the role, or let the database's owner run cdr-sync migrate";

/// The first few names, and how many more there are.
fn listed(names: &[String]) -> String {
    match names {
        [one, two, three, _, ..] => format!("{one}, {two}, {three} and {} more", names.len() - 3),
        few => few.join(", "),
    }
}

/// How well the connection to the database is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// It does not leave this host.
    Local,
    /// Anybody in between can read and change what is sent.
    Plain,
    /// Encrypted this time; with a server without TLS, or an impostor that claims to be one, plain text would be used.
    Opportunistic,
    /// Encrypted, but the server's identity is not checked.
    Unverified,
    /// Encrypted; the certificate's authority is checked, but not the host name.
    AuthorityVerified,
    /// Encrypted; the certificate's authority and host name are checked.
    Verified,
}

/// Judged by where the host is, the configured `sslmode`, and the outcome.
fn transport(local: bool, mode: PgSslMode, encrypted: bool) -> Transport {
    match mode {
        _ if local => Transport::Local,
        PgSslMode::VerifyFull => Transport::Verified,
        PgSslMode::VerifyCa => Transport::AuthorityVerified,
        PgSslMode::Require => Transport::Unverified,
        PgSslMode::Prefer if encrypted => Transport::Opportunistic,
        _ => Transport::Plain,
    }
}

/// Returns `true` for a loopback address or name, or the directory of a Unix socket.
fn is_local(host: &str, has_socket: bool) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    has_socket
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Store {
    /// Reads what the database and the role in it are like; changes nothing.
    pub async fn environment(&self) -> Result<Environment, StoreError> {
        self.soon(async {
            let mut tx = self.begin().await?;
            let environment = read(&mut tx).await?;
            tx.commit().await?;
            Ok(environment)
        })
        .await
    }

    /// The most connections that are opened at once for the sync itself.
    pub fn max_connections(&self) -> u32 {
        self.connections.most()
    }

    /// How well the connection to the database is protected.
    pub fn transport(&self, environment: &Environment) -> Transport {
        let options = self.connections.options();
        let local = is_local(options.get_host(), options.get_socket().is_some());
        transport(local, options.get_ssl_mode(), environment.encrypted)
    }
}

/// Uses the catalog only: `to_regclass` fails if the role may not use the schema.
pub(super) async fn read(conn: &mut PgConnection) -> Result<Environment, StoreError> {
    let environment = sql_as(
        "with relation as (
             select n.nspname, c.relname, c.oid, c.relkind, pg_get_userbyid(c.relowner) as owner
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where n.nspname in ('voicenter', 'cdr_sync', 'voicenter_ai') and c.relkind in ('r', 'p', 'v', 'm', 'f')
         )
         select current_setting('server_version') as version,
                pg_encoding_to_char((select encoding from pg_catalog.pg_database where datname = current_database()))::text as encoding,
                pg_is_in_recovery() as in_recovery,
                current_setting('transaction_read_only')::boolean as read_only,
                has_database_privilege(current_database(), 'create') as may_create,
                has_database_privilege(current_database(), 'temporary') as may_stage,
                exists (select from relation where nspname = 'cdr_sync' and relname = 'migration') as ours,
                array(select format('%s.%s (owner %s)', nspname, relname, owner) from relation
                      order by nspname <> 'voicenter', relname <> 'cdr', relname) as relations,
                array(select format('schema %s (owner %s)', nspname, pg_get_userbyid(nspowner)) from pg_catalog.pg_namespace
                      where nspname in ('voicenter', 'cdr_sync', 'voicenter_ai') and not (has_schema_privilege(oid, 'create') and has_schema_privilege(oid, 'usage'))
                      order by 1) as closed,
                -- Analyses are written only where notifications with them come: whoever may not use that schema need not.
                array(select format('%s.%s', nspname, relname) from relation
                      where (nspname <> 'voicenter_ai' or has_schema_privilege(nspname, 'usage'))
                        and (not has_table_privilege(oid, 'select')
                             or relkind in ('r', 'p') and relname <> 'migration'
                                and not (has_table_privilege(oid, 'insert') and has_table_privilege(oid, 'update')
                                         and has_table_privilege(oid, 'delete')))
                      union all
                      select p.oid::regprocedure::text
                      from pg_catalog.pg_proc p
                      where p.pronamespace in (select oid from pg_catalog.pg_namespace where nspname = 'cdr_sync')
                        and not has_function_privilege(p.oid, 'execute')
                      order by 1) as denied,
                (select least(nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
                 from pg_catalog.pg_roles r, pg_catalog.pg_database d
                 where r.rolname = current_user and not r.rolsuper and d.datname = current_database()) as connection_limit,
                coalesce((select ssl from pg_catalog.pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted",
    )
    .fetch_one(conn);
    Ok(environment.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fine() -> Environment {
        Environment { encoding: "UTF8".into(), may_create: true, may_stage: true, ..Environment::default() }
    }

    fn whats(environment: &Environment) -> Vec<String> {
        environment.obstacles().into_iter().map(|obstacle| obstacle.what).collect()
    }

    #[test]
    fn a_database_like_any_other_has_no_obstacles() {
        assert_eq!(whats(&fine()), Vec::<String>::new());
        let ours = Environment {
            ours: true,
            may_create: false,
            may_stage: false,
            relations: vec!["voicenter.cdr (owner dba)".into()],
            closed: vec!["schema voicenter (owner dba)".into()],
            ..fine()
        };
        assert_eq!(whats(&ours), Vec::<String>::new());
    }

    #[test]
    fn what_is_in_the_way_is_named_and_only_what_may_pass_is_waited_for() {
        let standby = Environment { in_recovery: true, read_only: true, ..fine() };
        let read_only = Environment { read_only: true, ..fine() };
        let latin = Environment { encoding: "LATIN1".into(), ..fine() };
        let tables = vec!["voicenter.cdr (owner other)".to_owned(); 5];
        let foreign = Environment { relations: tables, ..fine() };
        let closed = Environment { closed: vec!["schema voicenter (owner other)".into()], ..fine() };
        let poor = Environment { may_create: false, ..fine() };
        for (environment, word, waits) in [
            (standby, "standby", true),
            (read_only, "default_transaction_read_only", true),
            (latin, "LATIN1", false),
            (foreign, "voicenter.cdr (owner other) and 2 more", false),
            (closed, "schema voicenter (owner other)", false),
            (poor, "create schemas", false),
        ] {
            let [obstacle] = environment.obstacles().try_into().unwrap();
            assert!(obstacle.what.contains(word), "{}", obstacle.what);
            assert_eq!(StoreError::from(obstacle).is_unavailable(), waits, "{word}");
        }
    }

    #[test]
    fn the_way_to_another_host_is_protected_as_far_as_its_sslmode_says() {
        for host in ["localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "/run/postgresql"] {
            assert!(is_local(host, false), "{host}");
        }
        assert!(is_local("anything", true));
        for host in ["db", "10.0.0.1", "localhost.example.org", "::2"] {
            assert!(!is_local(host, false), "{host}");
        }
        assert_eq!(transport(true, PgSslMode::Disable, false), Transport::Local);
        for (mode, encrypted, expected) in [
            (PgSslMode::Disable, false, Transport::Plain),
            (PgSslMode::Allow, false, Transport::Plain),
            // A pooler's own connection may be encrypted, ours is not.
            (PgSslMode::Disable, true, Transport::Plain),
            (PgSslMode::Prefer, false, Transport::Plain),
            (PgSslMode::Prefer, true, Transport::Opportunistic),
            (PgSslMode::Require, true, Transport::Unverified),
            (PgSslMode::VerifyCa, true, Transport::AuthorityVerified),
            (PgSslMode::VerifyFull, true, Transport::Verified),
        ] {
            assert_eq!(transport(false, mode, encrypted), expected, "{mode:?}");
        }
    }
}
