//! The server's certificate: its own authority and what it signs, or the operator's.

mod own;

use crate::serve::StartError;
use holotype_repo::https::ServerPin;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// Signed by this server's own authority, which is made on first start.
    Own {
        /// Names and addresses it is for, besides this host's own.
        names: Vec<String>,
    },
    /// The operator's: a chain and its key in PEM.
    Files {
        /// The server's certificate first, then those that signed it.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// A certificate, ready to serve.
pub struct Identity {
    /// The configuration of TLS.
    pub config: Arc<ServerConfig>,
    /// What clients pin: the own authority, or the operator's certificate.
    pub pin: ServerPin,
}

impl Identity {
    /// Loads the certificate, or makes it. The own one is renewed when it ends soon or lacks a name.
    ///
    /// # Errors
    /// Files that cannot be read or written, or do not fit; a certificate that is not valid now.
    pub fn load(source: &CertificateSource, tls_dir: &Path) -> Result<Self, StartError> {
        let (chain, key, pinned) = match source {
            CertificateSource::Own { names } => {
                let own = own::load_or_make(tls_dir, names)?;
                let pinned = own.chain.last().cloned();
                (own.chain, own.key, pinned)
            }
            CertificateSource::Files { certificate, key } => {
                let (chain, key) = read_pair(certificate, key)?;
                if let Some(first) = chain.first() {
                    check_validity(certificate, first)?;
                }
                let pinned = chain.first().cloned();
                (chain, key, pinned)
            }
        };
        let pinned = pinned.ok_or_else(|| StartError::new("the certificate file holds no certificate"))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| StartError::new(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| StartError::new(format!("the certificate and its key do not fit together: {error}")))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session costs memory for each client and saves little against a backup.
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), pin: ServerPin::of(&pinned) })
    }
}

/// What clients of the server in this directory pin, without starting it.
///
/// # Errors
/// Where there is none yet, or the files cannot be read.
pub fn pin(source: &CertificateSource, tls_dir: &Path) -> Result<ServerPin, StartError> {
    let certificate = match source {
        CertificateSource::Own { .. } => own::authority_path(tls_dir),
        CertificateSource::Files { certificate, .. } => certificate.clone(),
    };
    let certificates = read_certificates(&certificate)?;
    let first = certificates.first().ok_or_else(|| StartError::about(&certificate, "holds no certificate"))?;
    Ok(ServerPin::of(first))
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let failed = |error| StartError::about(path, format!("is no readable certificate: {error}"));
    CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

fn read_pair(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), StartError> {
    let read_key = PrivateKeyDer::from_pem_file(key);
    let key = read_key.map_err(|error| StartError::about(key, format!("is no readable private key: {error}")))?;
    Ok((read_certificates(certificate)?, key))
}

/// # Errors
/// One sentence where the certificate is not valid now.
fn check_validity(path: &Path, certificate: &CertificateDer<'_>) -> Result<(), StartError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| StartError::about(path, format!("is no readable certificate: {error}")))?;
    let validity = parsed.validity();
    let now = x509_parser::time::ASN1Time::now();
    if now < validity.not_before {
        let why = format!("is not valid before {}, and this machine's clock says {now}", validity.not_before);
        return Err(StartError::about(path, why).advise("set the clock, or give another certificate"));
    }
    if now > validity.not_after {
        let why = format!("has expired on {}, and this machine's clock says {now}", validity.not_after);
        return Err(StartError::about(path, why).advise("renew it, or set the clock if it is wrong"));
    }
    Ok(())
}
