//! Passwords and their hashes, and the memory of those that were verified lately.
//!
//! Stored: Argon2id (RFC 9106) as a PHC string with a 16 octet salt. Remembered: HMAC-SHA256, keyed by a secret of this
//! process, over account, service, name and password, so that neither a core dump nor a collision gives a password away
//! and no entry serves another user or service (attack 25). Hashing takes tens of milliseconds and 19 MiB: never
//! on a shard nor on the directory's thread.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use argon2::password_hash::{Output, PasswordHash, Salt, SaltString};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::aging::Aging;
use super::error::Refusal;
use super::lockout::NameDigest;
use super::secret::Secret;
use crate::limits::{CREDENTIAL_SECONDS_MAX, CREDENTIALS_MAX, HASH_MEMORY_KIB_MAX, PASSWORD_BYTES_MAX};

/// What one hash costs. The default is OWASP's: 19 MiB, two passes, one lane.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Cost { memory_kib: 19_456, passes: 2 }
    }
}

/// Random octets from the operating system's generator; `None` where there is none to be had.
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut octets = [0; N];
    SystemRandom::new().fill(&mut octets).ok()?;
    Some(octets)
}

/// Whether `password` may be set: any UTF-8 without NUL, not empty, at most [`PASSWORD_BYTES_MAX`] octets.
pub fn acceptable(password: &Secret) -> Result<(), Refusal> {
    let octets = password.as_bytes();
    if octets.is_empty() {
        return Err(Refusal::Password("it is empty"));
    }
    if octets.len() > PASSWORD_BYTES_MAX {
        return Err(Refusal::Password("it is longer than 1024 octets"));
    }
    match password.as_text() {
        None => Err(Refusal::Password("it is not UTF-8")),
        Some(text) if text.contains('\0') => Err(Refusal::Password("it contains a NUL")),
        Some(_) => Ok(()),
    }
}

/// The PHC string of `password`; `None` where the cost is out of Argon2's range.
pub fn hash(password: &Secret, salt: [u8; 16], cost: Cost) -> Option<String> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).ok()?;
    let output = derive((Algorithm::Argon2id, Version::V0x13), &params, password.as_bytes(), &salt)?;
    let salt = SaltString::encode_b64(&salt).ok()?;
    let stored = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: (&params).try_into().ok()?,
        salt: Some(salt.as_salt()),
        hash: Some(output),
    };
    Some(stored.to_string())
}

/// Argon2 in memory that each thread keeps for the next time: an allocator would keep more, and of more threads (395 MB were
/// seen after some hundred logins, with three hashes at once).
fn derive(kind: (Algorithm, Version), params: &Params, password: &[u8], salt: &[u8]) -> Option<Output> {
    thread_local! {
        static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
    }
    let argon2 = Argon2::new(kind.0, kind.1, params.clone());
    MEMORY.with_borrow_mut(|memory| {
        let blocks = params.block_count();
        if memory.len() < blocks {
            memory.resize(blocks, Block::default());
        }
        let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let output = Output::init_with(length, |out| {
            Ok(argon2.hash_password_into_with_memory(password, salt, out, &mut memory[..blocks])?)
        });
        if params.m_cost() > Cost::default().memory_kib {
            *memory = Vec::new();
        }
        output.ok()
    })
}

/// Whether `password` is the one that the PHC string `stored` was made of, at the cost that the string names.
pub fn verify(stored: &str, password: &Secret) -> bool {
    // No length check before the hash: an over-long password has to take as long as any other.
    let octets = &password.as_bytes()[..password.as_bytes().len().min(PASSWORD_BYTES_MAX + 1)];
    let Ok(stored) = PasswordHash::new(stored) else { return false };
    matches(&stored, octets).unwrap_or(false)
}

/// `None`: the string says nothing that could be computed.
fn matches(stored: &PasswordHash<'_>, password: &[u8]) -> Option<bool> {
    let params = Params::try_from(stored).ok()?;
    // Argon2 takes its memory by what the string says: a damaged one must not take all there is.
    if params.m_cost() > HASH_MEMORY_KIB_MAX {
        return None;
    }
    let algorithm = Algorithm::try_from(stored.algorithm).ok()?;
    let version = stored.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let mut salt = [0; Salt::MAX_LENGTH];
    let salt = stored.salt?.decode_b64(&mut salt).ok()?;
    // The comparison takes the same time wherever the two differ.
    Some(derive((algorithm, version), &params, password, salt)? == stored.hash?)
}

/// The keyed digest of a credential.
pub type CredentialDigest = [u8; 32];

#[derive(Debug)]
struct Remembered {
    account: u64,
    since: Instant,
}

/// The credentials that were verified lately.
#[derive(Debug)]
pub struct Credentials {
    key: hmac::Key,
    verified: Aging<CredentialDigest, Remembered>,
}

impl Credentials {
    /// An empty memory under `secret`, which must be random and this process's own.
    pub fn new(secret: [u8; 32]) -> Self {
        Credentials { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), verified: Aging::new(CREDENTIALS_MAX) }
    }

    /// The digest of `password` for an account (`None`: an unknown name), as logged in under `name` at `service`.
    pub fn digest(&self, account: Option<u64>, service: &str, name: &str, password: &Secret) -> CredentialDigest {
        let mut context = hmac::Context::with_key(&self.key);
        match account {
            Some(id) => {
                context.update(&[1]);
                context.update(&id.to_be_bytes());
            }
            None => context.update(&[0]),
        }
        // Each with its length: no two credentials run together into the same octets.
        for part in [service.as_bytes(), name.as_bytes(), password.as_bytes()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    /// The digest of a login name, for the lockout.
    pub fn name_digest(&self, key: &str) -> NameDigest {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[2]);
        context.update(key.as_bytes());
        let mut digest = [0; 16];
        digest.copy_from_slice(&context.sign().as_ref()[..16]);
        digest
    }

    /// Whether that credential of `account` was verified within the last hour.
    pub fn verified(&self, digest: &CredentialDigest, account: u64, now: Instant) -> bool {
        self.verified.peek(digest).is_some_and(|remembered| {
            remembered.account == account
                && now.saturating_duration_since(remembered.since) < Duration::from_secs(CREDENTIAL_SECONDS_MAX)
        })
    }

    /// Remembers a credential that was verified just now.
    pub fn remember(&mut self, digest: CredentialDigest, account: u64, now: Instant) {
        self.verified.insert(digest, Remembered { account, since: now });
    }

    /// Forgets all credentials of `account`.
    pub fn forget(&mut self, account: u64) {
        self.verified.retain(|_, remembered| remembered.account != account);
    }
}

/// A password of 125 random bits to read aloud: five groups of five out of an alphabet without `i l o u`.
pub fn readable_password(octets: [u8; 16]) -> String {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut bits = u128::from_be_bytes(octets);
    let mut text = String::with_capacity(29);
    for place in 0..25 {
        if place > 0 && place % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1 };

    fn secret(text: &str) -> Secret {
        Secret::from(text.to_string())
    }

    #[test]
    fn a_hash_is_argon2id_at_the_stated_cost_and_verifies_its_password_alone() {
        let phc = hash(&secret("pässword"), [7; 16], Cost::default()).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify(&phc, &secret("pässword")));
        assert!(!verify(&phc, &secret("password")));
        assert_ne!(phc, hash(&secret("pässword"), [8; 16], Cost::default()).unwrap());
    }

    #[test]
    fn a_broken_or_foreign_hash_verifies_nothing() {
        for stored in ["", "x", "$argon2id$v=19$m=8,t=1,p=1", "$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$aGFzaA"]
        {
            assert!(!verify(stored, &secret("x")), "{stored:?}");
        }
    }

    #[test]
    fn an_over_long_password_does_not_match_its_first_part() {
        let phc = hash(&secret(&"x".repeat(PASSWORD_BYTES_MAX)), [7; 16], CHEAP).unwrap();
        assert!(verify(&phc, &secret(&"x".repeat(PASSWORD_BYTES_MAX))));
        assert!(!verify(&phc, &secret(&"x".repeat(PASSWORD_BYTES_MAX + 1))));
        assert!(!verify(&phc, &secret(&"x".repeat(PASSWORD_BYTES_MAX + 999))));
    }

    #[test]
    fn which_passwords_may_be_set() {
        assert!(acceptable(&secret("  spaces and 密码 ")).is_ok());
        assert!(acceptable(&secret("")).is_err());
        assert!(acceptable(&secret("a\0b")).is_err());
        assert!(acceptable(&Secret::new(vec![0xff])).is_err());
        assert!(acceptable(&secret(&"x".repeat(PASSWORD_BYTES_MAX))).is_ok());
        assert!(acceptable(&secret(&"x".repeat(PASSWORD_BYTES_MAX + 1))).is_err());
    }

    #[test]
    fn attack_25_no_hit_over_users_services_names_or_time() {
        let start = Instant::now();
        let mut credentials = Credentials::new([1; 32]);
        let digest = credentials.digest(Some(1), "imap", "a@x", &secret("pw"));
        credentials.remember(digest, 1, start);
        assert!(credentials.verified(&digest, 1, start));
        for (account, service, name, password) in [
            (2, "imap", "a@x", "pw"),
            (1, "submission", "a@x", "pw"),
            (1, "imap", "a@", "xpw"),
            (1, "imap", "a@x", "pw2"),
            (1, "ima", "pa@x", "pw"),
        ] {
            let other = credentials.digest(Some(account), service, name, &secret(password));
            assert!(!credentials.verified(&other, account, start), "{service} {name} {password}");
        }
        let hour = Duration::from_secs(CREDENTIAL_SECONDS_MAX);
        assert!(credentials.verified(&digest, 1, start + hour - Duration::from_millis(1)));
        assert!(!credentials.verified(&digest, 1, start + hour));
        credentials.forget(1);
        assert!(!credentials.verified(&digest, 1, start));
        assert_ne!(digest, Credentials::new([2; 32]).digest(Some(1), "imap", "a@x", &secret("pw")));
    }

    #[test]
    fn readable_passwords_use_125_bits() {
        assert_eq!(readable_password([0; 16]), "00000-00000-00000-00000-00000");
        assert_eq!(readable_password([0xff; 16]), "zzzzz-zzzzz-zzzzz-zzzzz-zzzzz");
        assert_ne!(readable_password(random().unwrap()), readable_password(random().unwrap()));
    }
}
