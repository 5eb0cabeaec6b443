//! A private key and its certificate, from two files in PEM, as they are now.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer};
use futures_rustls::rustls::crypto::aws_lc_rs;
use futures_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use futures_rustls::rustls::sign::CertifiedKey;

/// The largest file that is read: hundreds of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where a pair is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PairFiles {
    /// The private key.
    pub(crate) key: PathBuf,
    /// The certificate, and those between it and its root.
    pub(crate) certificate: PathBuf,
}

/// Why there is no pair.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairError {
    /// The file of the key.
    #[error("{}: {why}", file.display())]
    Key {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file of the certificate.
    #[error("{}: {why}", file.display())]
    Certificate {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Key and certificate do not belong together, or are of a kind that is not known.
    #[error("key and certificate cannot be used: {0}")]
    Unusable(futures_rustls::rustls::Error),
}

/// A pair that is in use.
#[derive(Debug)]
pub(crate) struct Pair {
    files: PairFiles,
    current: ArcSwap<CertifiedKey>,
    /// How the files looked when they were last read, good or bad.
    seen: Mutex<Look>,
}

/// What is looked at to tell whether a file has changed: of the key's and of the certificate's.
type Look = [Option<(SystemTime, u64)>; 2];

/// What a look at the files has brought.
#[derive(Debug)]
pub(super) enum Reloaded {
    /// They are as they were.
    Unchanged,
    /// The new pair is in use.
    Swapped,
    /// The new one cannot be used; the old one is.
    Broken(PairError),
}

impl Pair {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub(super) fn load(files: PairFiles) -> Result<Self, PairError> {
        let seen = Mutex::new(files.look());
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Self {
            files,
            current,
            seen,
        })
    }

    /// Reads it again if a file has changed. What is broken is read again when it has changed once more: the two files are
    /// seldom replaced at the same moment.
    pub(super) fn reload(&self) -> Reloaded {
        let look = self.files.look();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *seen, look) == look {
            return Reloaded::Unchanged;
        }
        match self.files.read() {
            Ok(pair) => {
                self.current.store(Arc::new(pair));
                Reloaded::Swapped
            }
            Err(error) => Reloaded::Broken(error),
        }
    }
}

impl Pair {
    /// The file of its certificate.
    pub(super) fn certificate_file(&self) -> &std::path::Path {
        &self.files.certificate
    }
}

impl ResolvesServerCert for Pair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl PairFiles {
    fn look(&self) -> Look {
        [&self.key, &self.certificate].map(|file| {
            let file = std::fs::metadata(file).ok()?;
            Some((file.modified().ok()?, file.len()))
        })
    }

    fn read(&self) -> Result<CertifiedKey, PairError> {
        let (key, certificates) = (self.read_key()?, self.read_certificates()?);
        CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
            .map_err(PairError::Unusable)
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, PairError> {
        let wrong = |why: String| PairError::Key {
            file: self.key.clone(),
            why,
        };
        let text = read_file(&self.key).map_err(wrong)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| wrong(error.to_string()))
    }

    fn read_certificates(&self) -> Result<Vec<CertificateDer<'static>>, PairError> {
        let wrong = |why: String| PairError::Certificate {
            file: self.certificate.clone(),
            why,
        };
        let text = read_file(&self.certificate).map_err(wrong)?;
        let all = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| wrong(error.to_string()))?;
        if all.is_empty() {
            return Err(wrong("there is no certificate in it".into()));
        }
        Ok(all)
    }
}

fn read_file(path: &std::path::Path) -> Result<Vec<u8>, String> {
    let bytes = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
