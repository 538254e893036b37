//! Which hosts a link to a recording may lead to: it is data from outside, and must not turn this program against the
//! network that it runs in. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Voicenter's own hosts, and S3's.
const KNOWN: [&str; 4] = ["*.voicenter.co.il", "*.voicenter.com", "*.voicenter.co", "*.s3.amazonaws.com"];

/// The hosts that links may lead to.
pub(super) struct Hosts<'a> {
    /// `recording.hosts`.
    configured: &'a [String],
}

/// A host that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Its name or address, without the brackets of IPv6.
    pub(super) name: String,
    pub(super) port: u16,
    /// It is configured, so that it may be one of this network.
    is_configured: bool,
}

/// Why a link is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no address of http or https.
    NoAddress,
    /// Its host is not on the list.
    NotListed,
    /// A listed host, but not the port of its web server.
    Port,
    /// The host's name leads into a private network.
    Private,
}

impl<'a> Hosts<'a> {
    pub(super) fn new(configured: &'a [String]) -> Self {
        Self { configured }
    }

    /// The host of a link, if the link may be followed.
    pub(super) fn admit(&self, link: &Url) -> Result<Target, Refusal> {
        if !matches!(link.scheme(), "http" | "https") {
            return Err(Refusal::NoAddress);
        }
        let (name, is_address) = match link.host() {
            Some(Host::Domain(name)) => (name.trim_end_matches('.').to_ascii_lowercase(), false),
            Some(Host::Ipv4(address)) => (address.to_string(), true),
            Some(Host::Ipv6(address)) => (address.to_string(), true),
            None => return Err(Refusal::NoAddress),
        };
        let is_configured = self.configured.iter().any(|pattern| matches(pattern, &name));
        let is_known = !is_address && KNOWN.iter().any(|pattern| matches(pattern, &name));
        if !is_configured && !is_known {
            return Err(Refusal::NotListed);
        }
        if !is_configured && link.port().is_some() {
            return Err(Refusal::Port);
        }
        let port = link.port_or_known_default().ok_or(Refusal::NoAddress)?;
        Ok(Target { name, port, is_configured })
    }
}

impl Target {
    /// Whether the host may be asked where its name leads: all of it, because any address may be the one that is taken.
    pub(super) fn admit(&self, mut addresses: impl Iterator<Item = IpAddr>) -> Result<(), Refusal> {
        match self.is_configured || addresses.all(is_public) {
            true => Ok(()),
            false => Err(Refusal::Private),
        }
    }
}

/// `*.` stands for one or more names before the rest.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(below) => name.strip_suffix(below).is_some_and(|before| !before.is_empty()),
        None => pattern == name,
    }
}

/// Returns `true` for addresses of the internet: no loopback, no private network, nothing of the link or reserved.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_documentation()
        || matches!((a, b, c), (0, ..) | (192, 0, 0) | (224.., ..))
        // Carriers' networks, and those for benchmarks.
        || (a == 100 && b & 0xC0 == 64)
        || (a == 198 && b & 0xFE == 18);
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, .., high, low] = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (first, second) {
        // IPv4 behind a translator, or in a tunnel.
        (0x64, 0xff9b) => third == 0 && is_public_v4(embedded(high, low)),
        (0x2002, _) => is_public_v4(embedded(second, third)),
        (0x2001, 0 | 0x0db8) => false,
        // Global unicast. What is written as IPv4 (::ffff:0:0/96) has a form of its own.
        (0x2000..=0x3fff, _) => true,
        _ => address.to_ipv4_mapped().is_some_and(is_public_v4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(configured: &[&str], link: &str) -> Result<Target, Refusal> {
        let configured: Vec<String> = configured.iter().map(|name| (*name).to_owned()).collect();
        Hosts::new(&configured).admit(&Url::parse(link).unwrap())
    }

    #[test]
    fn the_hosts_of_voicenter_and_of_s3_are_known_and_no_others() {
        for link in [
            "https://cpanel.voicenter.co.il/CallsHistory/PlayRecord/1.mp3",
            "https://CPANEL.Voicenter.co.il./1.mp3",
            "http://a.b.voicenter.com/1",
            "https://x.voicenter.co:443/1",
            "http://bucket.s3.amazonaws.com:80/1",
        ] {
            assert!(admit(&[], link).is_ok(), "{link}");
        }
        for (link, refusal) in [
            ("https://voicenter.co.il.example/1", Refusal::NotListed),
            ("https://evilvoicenter.co.il/1", Refusal::NotListed),
            ("https://.voicenter.co.il/1", Refusal::NotListed),
            ("https://voicenter.com@example.org/1", Refusal::NotListed),
            ("http://127.0.0.1/1", Refusal::NotListed),
            ("http://2130706433/1", Refusal::NotListed),
            ("http://[::1]/1", Refusal::NotListed),
            ("http://169.254.169.254/latest/meta-data/", Refusal::NotListed),
            ("http://localhost/1", Refusal::NotListed),
            ("https://cpanel.voicenter.co.il:5432/1", Refusal::Port),
            ("ftp://cpanel.voicenter.co.il/1", Refusal::NoAddress),
            ("file:///etc/passwd", Refusal::NoAddress),
        ] {
            assert_eq!(admit(&[], link), Err(refusal), "{link}");
        }
    }

    #[test]
    fn configured_hosts_may_be_private_and_have_any_port() {
        let configured = ["127.0.0.1", "files.example.com", "*.example.org"];
        let loopback = admit(&configured, "http://127.0.0.1:8081/1").unwrap();
        assert_eq!((loopback.name.as_str(), loopback.port), ("127.0.0.1", 8081));
        assert_eq!(loopback.admit([IpAddr::from([127, 0, 0, 1])].into_iter()), Ok(()));
        assert!(admit(&configured, "https://a.b.example.org/1").is_ok());
        for link in ["https://example.org/1", "https://other.example.com/1", "http://127.0.0.2/1"] {
            assert_eq!(admit(&configured, link), Err(Refusal::NotListed), "{link}");
        }
    }

    #[test]
    fn a_known_host_whose_name_leads_into_a_private_network_is_refused() {
        let target = admit(&[], "https://cpanel.voicenter.co.il/1").unwrap();
        let admitted = |addresses: &[&str]| {
            target.admit(addresses.iter().map(|address| address.parse().unwrap())).is_ok()
        };
        for public in
            ["8.8.8.8", "185.138.168.1", "100.128.0.1", "198.20.0.1", "2a00:1450::1", "64:ff9b::808:808"]
        {
            assert!(admitted(&[public]), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.19.0.1",
            "0.0.0.0",
            "192.0.0.8",
            "192.0.2.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fd00::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:a00:1::",
        ] {
            assert!(!admitted(&[private]), "{private}");
            assert!(!admitted(&["8.8.8.8", private]), "one of two: {private}");
        }
    }
}
