//! Whether an archive is what its channel signed. `gpgv` of GnuPG checks the signature: see docs/decisions/rule-channels.md.

use std::path::Path;
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use ring::digest;

use super::Error;

/// The word by which `gpgv` says that a signature is good, its key known and neither expired nor revoked.
const GOOD: &str = "[GNUPG:] VALIDSIG ";

/// Whether `listed` begins with the SHA-512 or SHA-256 digest of `archive` in hexadecimal; a file name may follow.
pub(super) fn has_digest(archive: &[u8], listed: &[u8]) -> bool {
    let listed = String::from_utf8_lossy(listed).to_ascii_lowercase();
    let first = listed.split_whitespace().next().unwrap_or_default();
    let algorithms: [&digest::Algorithm; 2] = [&digest::SHA512, &digest::SHA256];
    algorithms
        .iter()
        .any(|algorithm| data_encoding::HEXLOWER.encode(digest::digest(algorithm, archive).as_ref()) == first)
}

/// Checks the detached signature of `archive` with the public keys in the file `keys`, armored or not. `workplace` is an empty folder of ours.
pub(super) fn check_signature(archive: &[u8], signature: &[u8], keys: &Path, workplace: &Path) -> Result<(), Error> {
    let local = |what: &str, error: std::io::Error| Error::Local(format!("{what}: {error}"));
    let key = std::fs::read(keys).map_err(|error| local(&format!("cannot read the keys {}", keys.display()), error))?;
    let key = unarmored(&key)
        .ok_or_else(|| Error::Local(format!("{} holds no public key that can be read", keys.display())))?;
    for (name, content) in [("keys", key.as_slice()), ("archive", archive), ("signature", signature)] {
        let path = workplace.join(name);
        std::fs::write(&path, content).map_err(|error| local(&format!("cannot write {}", path.display()), error))?;
    }
    let output = Command::new("gpgv")
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/local/bin")
        .env("LC_ALL", "C")
        .current_dir(workplace)
        .args(["--homedir", ".", "--keyring", "./keys", "--status-fd", "1", "signature", "archive"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            local("cannot run gpgv (Debian package gpgv), without which no signature is checked", error)
        })?;
    let status = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && status.lines().any(|line| line.starts_with(GOOD)) {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let told: Vec<&str> = told.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    Err(Error::Untrusted(format!("the signature is not good: {}", told.join("; ").escape_debug())))
}

/// The binary form of keys that may be armored (RFC 9580 section 6.2); `None` if the armor cannot be read.
fn unarmored(text: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
    const END: &str = "-----END PGP PUBLIC KEY BLOCK-----";
    let Some(armored) = std::str::from_utf8(text).ok().filter(|text| text.contains(BEGIN)) else {
        return (!text.is_empty()).then(|| text.to_vec());
    };
    let mut keys = Vec::new();
    for block in armored.split(BEGIN).skip(1) {
        let (block, _) = block.split_once(END)?;
        // Headers end with an empty line; the checksum has a line of its own that begins with `=`.
        let (_, body) = block.split_once("\n\n").or_else(|| block.split_once("\r\n\r\n"))?;
        let body: String = body.lines().map(str::trim).take_while(|line| !line.starts_with('=')).collect();
        keys.extend(BASE64.decode(body.as_bytes()).ok()?);
    }
    Some(keys)
}
