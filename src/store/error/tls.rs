//! Why TLS to the database failed: a server with a wrong certificate is not "unreachable".

use rustls::CertificateError as Fault;

use super::StoreError;

/// Returns what is wrong with TLS, if `error` is about that.
pub(super) fn fault(error: &sqlx::Error) -> Option<StoreError> {
    match error {
        // The handshake's errors arrive inside an I/O error.
        sqlx::Error::Io(error) => handshake(error.get_ref()?.downcast_ref()?),
        sqlx::Error::Tls(error) => Some(match error.downcast_ref() {
            Some(error) => handshake(error)?,
            None => tls(error.to_string(), SETUP),
        }),
        _ => None,
    }
}

const SETUP: &str = "turn TLS on in PostgreSQL (ssl = on) or choose another sslmode in database.url; check the files that \
                     sslrootcert, sslcert and sslkey name";
const UNTRUSTED: &str = "set sslrootcert=/path/to/ca.pem in database.url to the authority's certificate (with sslmode=verify-full)";
const TIME: &str = "renew the server's certificate, or set this host's clock";
const NAME: &str =
    "write the host in database.url as the certificate names it, or have a certificate issued for that name";
const OTHER: &str = "have a new server certificate issued, or check which authority sslrootcert= should name";

fn tls(reason: impl Into<String>, advice: &'static str) -> StoreError {
    StoreError::Tls { reason: reason.into(), advice }
}

fn handshake(error: &rustls::Error) -> Option<StoreError> {
    let rustls::Error::InvalidCertificate(fault) = error else {
        return Some(tls(error.to_string(), SETUP));
    };
    Some(match fault {
        Fault::UnknownIssuer => tls("the server's certificate was issued by an unknown authority", UNTRUSTED),
        Fault::Expired | Fault::ExpiredContext { .. } => tls("the server's certificate has expired", TIME),
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            tls("the server's certificate is not valid yet", TIME)
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            tls("the server's certificate is for another host name", NAME)
        }
        // A self-signed certificate that is its own authority.
        Fault::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            tls("the server's certificate is an authority's own (self-signed)", OTHER)
        }
        other => tls(format!("the server's certificate is not valid: {other}"), OTHER),
    })
}
