//! The own authority (`ca.pem`, valid for 20 years) and the certificate that it signs (`server.pem`,
//! valid for 397 days). Clients pin the authority, so the certificate can be renewed at any start.

use super::{check_validity, read_certificates, read_pair};
use crate::data_dir::write_private;
use crate::serve::StartError;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AUTHORITY_DAYS: u32 = 20 * 365;
/// As long as the browsers' rules for public certificates allow (CA/Browser Forum, ballot SC31).
const CERTIFICATE_DAYS: u32 = 397;
/// Certificates with less left are made anew.
const RENEW_BEFORE_DAYS: u32 = 60;
/// Clients whose clocks are late by less than this see a certificate that is valid already.
const BACKDATED_DAYS: u32 = 2;

pub(super) struct Own {
    /// The certificate, then the authority.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

pub(super) fn authority_path(tls_dir: &Path) -> PathBuf {
    tls_dir.join("ca.pem")
}

/// Loads what is there and makes what is not. A key is durable before the certificate that needs it, so
/// a crash leaves at worst a key that nobody uses.
pub(super) fn load_or_make(tls_dir: &Path, names: &[String]) -> Result<Own, StartError> {
    let (authority, authority_key) = (authority_path(tls_dir), tls_dir.join("ca.key"));
    if !authority.exists() {
        make_authority(&authority, &authority_key)?;
    }
    let wanted = wanted_names(names)?;
    let (certificate, key) = (tls_dir.join("server.pem"), tls_dir.join("server.key"));
    let authority_certificate = read_certificates(&authority)?;
    let first = authority_certificate.first().ok_or_else(|| StartError::about(&authority, "holds no certificate"))?;
    check_validity(&authority, first)?;
    let fits = || -> Option<Own> {
        let (chain, key) = read_pair(&certificate, &key).ok()?;
        let names = still_good(chain.first()?)?;
        (chain.last() == Some(first) && wanted.is_subset(&names)).then_some(Own { chain, key })
    };
    if let Some(own) = fits() {
        return Ok(own);
    }
    make_certificate(&authority, &authority_key, &certificate, &key, &wanted)?;
    let (chain, key) = read_pair(&certificate, &key)?;
    Ok(Own { chain, key })
}

/// The names of a certificate, where it is valid now and for some time.
fn still_good(certificate: &CertificateDer<'_>) -> Option<BTreeSet<String>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let left = parsed.validity().time_to_expiration()?;
    if left.whole_days() < i64::from(RENEW_BEFORE_DAYS) {
        return None;
    }
    let names = parsed.subject_alternative_name().ok()??;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    };
    Some(names.value.general_names.iter().filter_map(name).collect())
}

/// This host's name and addresses, and what the operator names.
fn wanted_names(names: &[String]) -> Result<BTreeSet<String>, StartError> {
    let mut wanted: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    #[cfg(unix)]
    if let Ok(host) = rustix::system::uname().nodename().to_str()
        && is_host_name(host)
    {
        wanted.insert(host.to_owned());
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    wanted.extend(interfaces.iter().filter(|one| !one.is_link_local()).map(|one| one.ip().to_string()));
    for name in names {
        if name.parse::<IpAddr>().is_err() && !is_host_name(name) {
            return Err(StartError::new(format!("`{name}` is neither a host name nor an address")));
        }
        wanted.insert(name.clone());
    }
    Ok(wanted)
}

/// Whether it can stand in a certificate as a host name.
fn is_host_name(name: &str) -> bool {
    rustls::pki_types::DnsName::try_from(name).is_ok()
}

fn validity(params: &mut CertificateParams, days: u32) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATED_DAYS * DAY).into();
    params.not_after = (now + days * DAY).into();
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn failed(what: &str) -> impl Fn(rcgen::Error) -> StartError {
    let what = what.to_owned();
    move |error| StartError::new(format!("{what} cannot be made: {error}"))
}

fn make_authority(certificate: &Path, key: &Path) -> Result<(), StartError> {
    let failed = failed("the server's certificate authority");
    let pair = KeyPair::generate().map_err(&failed)?;
    let mut params = CertificateParams::default();
    validity(&mut params, AUTHORITY_DAYS);
    params.distinguished_name = named("Holotype server authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let made = params.self_signed(&pair).map_err(&failed)?;
    write_durably(key, &pair.serialize_pem())?;
    write_durably(certificate, &made.pem())
}

fn make_certificate(
    authority: &Path,
    authority_key: &Path,
    certificate: &Path,
    key: &Path,
    names: &BTreeSet<String>,
) -> Result<(), StartError> {
    let failed = failed("the server's certificate");
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| StartError::about(path, format!("cannot be read: {error}")))
    };
    let authority_text = read(authority)?;
    let signing = KeyPair::from_pem(&read(authority_key)?).map_err(&failed)?;
    let issuer = Issuer::from_ca_cert_pem(&authority_text, signing).map_err(&failed)?;
    let pair = KeyPair::generate().map_err(&failed)?;
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>()).map_err(&failed)?;
    validity(&mut params, CERTIFICATE_DAYS);
    params.distinguished_name = named("Holotype server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let made = params.signed_by(&pair, &issuer).map_err(&failed)?;
    write_durably(key, &pair.serialize_pem())?;
    write_durably(certificate, &format!("{}{authority_text}", made.pem()))
}

fn write_durably(path: &Path, text: &str) -> Result<(), StartError> {
    write_private(path, text.as_bytes()).map_err(|error| StartError::about(path, format!("cannot be written: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_stays_and_the_certificate_follows_the_names() {
        let dir = tempfile::tempdir().unwrap();
        let first = load_or_make(dir.path(), &[]).unwrap();
        let again = load_or_make(dir.path(), &[]).unwrap();
        assert_eq!(first.chain, again.chain, "nothing changed");
        let named = load_or_make(dir.path(), &["backup.example".to_owned(), "192.0.2.7".to_owned()]).unwrap();
        assert_ne!(named.chain[0], first.chain[0]);
        assert_eq!(named.chain[1], first.chain[1], "clients that pinned it go on");
        let names = still_good(&named.chain[0]).unwrap();
        assert!(names.contains("backup.example") && names.contains("192.0.2.7") && names.contains("localhost"));
        assert!(load_or_make(dir.path(), &["no name".to_owned()]).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        load_or_make(dir.path(), &[]).unwrap();
        for name in ["ca.key", "server.key"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{name}");
        }
    }
}
