//! The self-signed certificate of a server that was given none: made once, used until it is taken away.
//!
//! Invariant: the two files belong together. The key is renamed into place first and the certificate last, and where
//! either is missing both are made anew, so that a crash between them is made up for. It is not renewed and follows no
//! change of the host's name: whoever wants more configures a certificate.

use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::data::replace_file;

/// Certificate and key (PEM) in `folder`, made where they are missing, for `names`: host names and addresses, the first
/// being the subject. The error is one line.
pub fn self_signed(folder: &Path, names: &[&str]) -> Result<(PathBuf, PathBuf), String> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if certificate.is_file() && key.is_file() {
        return Ok((certificate, key));
    }
    let (certificate_pem, key_pem) = make(names).map_err(|error| format!("can't make a certificate: {error}"))?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(format!("can't create {folder:?}: {error}"));
        }
        _ => {}
    }
    let write = |path: &Path, mode, pem: String| {
        replace_file(path, mode, |out| out.write_all(pem.as_bytes()))
            .map_err(|error| format!("can't write {path:?}: {error}"))
    };
    // An old certificate beside the new key would be taken for its own after a crash.
    match std::fs::remove_file(&certificate) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(format!("can't remove {certificate:?}: {error}"));
        }
        _ => {}
    }
    write(&key, 0o600, key_pem)?;
    write(&certificate, 0o644, certificate_pem)?;
    Ok((certificate, key))
}

fn make(names: &[&str]) -> Result<(String, String), rcgen::Error> {
    let mut alternatives: Vec<String> = Vec::new();
    for name in names {
        if !alternatives.iter().any(|other| other == name) {
            alternatives.push(name.to_string());
        }
    }
    let subject = alternatives.first().cloned().unwrap_or_default();
    let mut params = CertificateParams::new(alternatives)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, subject);
    params.distinguished_name.push(DnType::OrganizationName, "Ringpost self-signed");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // No clock is read: any clock that is nearly right is between the two.
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2049, 12, 31);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::data::scratch;
    use std::os::unix::fs::PermissionsExt;

    const NAMES: &[&str] = &["localhost", "mail.example.org", "localhost", "127.0.0.1", "::1"];

    #[test]
    fn made_once_private_and_reused() {
        let scratch = scratch("certificate");
        let folder = scratch.join("tls");
        let (certificate, key) = self_signed(&folder, NAMES).unwrap();
        let before = (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap());
        assert!(before.0.starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert!(before.1.starts_with(b"-----BEGIN PRIVATE KEY-----"));
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        self_signed(&folder, NAMES).unwrap();
        assert_eq!(before, (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap()));
    }

    #[test]
    fn half_a_pair_is_made_anew_and_the_pair_matches() {
        let folder = scratch("certificate-half");
        let (certificate, key) = self_signed(&folder, NAMES).unwrap();
        for lost in [&certificate, &key] {
            std::fs::remove_file(lost).unwrap();
            self_signed(&folder, NAMES).unwrap();
            let pair = KeyPair::from_pem(&std::fs::read_to_string(&key).unwrap()).unwrap();
            let pem = std::fs::read_to_string(&certificate).unwrap();
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            let der = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap();
            let public = pair.public_key_raw();
            assert!(der.windows(public.len()).any(|window| window == public), "the certificate is the key's");
            let has = |octets: &[u8]| der.windows(octets.len()).any(|window| window == octets);
            assert!(has(b"mail.example.org") && has(&[0x87, 4, 127, 0, 0, 1]));
        }
    }

    #[test]
    fn where_it_can_not_be_written_the_error_names_the_path() {
        let scratch = scratch("certificate-refused");
        let file = scratch.join("file");
        std::fs::write(&file, b"").unwrap();
        assert!(self_signed(&file, NAMES).unwrap_err().contains("file/cert.pem"));
    }
}
