//! A message as DKIM and ARC sign it: which header fields a list of names picks (RFC 6376 section 5.4.2), and body hashes, each
//! computed once however many signatures share it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ring::digest;
use tidegate_mail::{HeaderField, Message};

use super::canonical::{BodyHash, Form, hash_body};

/// Kinds of body hash (form, length, algorithm) of one message; each costs a pass over the body.
const BODY_KINDS_MAX: usize = 4;

/// One message and what was computed of it.
pub(super) struct Signable<'a> {
    message: &'a Message,
    /// Fields by lower-case name, each list in the order of the header.
    by_name: HashMap<String, Vec<&'a HeaderField>>,
    bodies: Mutex<Vec<(BodyKey, BodyHash)>>,
}

#[derive(Clone, Copy, PartialEq)]
struct BodyKey {
    form: Form,
    limit: Option<u64>,
    algorithm: &'static digest::Algorithm,
}

impl<'a> Signable<'a> {
    pub(super) fn new(message: &'a Message) -> Signable<'a> {
        let mut by_name: HashMap<String, Vec<&HeaderField>> = HashMap::new();
        for field in message.headers() {
            by_name.entry(field.name().to_ascii_lowercase()).or_default().push(field);
        }
        Signable { message, by_name, bodies: Mutex::default() }
    }

    /// All fields called `name` (in lower case), in the order of the header.
    pub(super) fn named(&self, name: &str) -> &[&'a HeaderField] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The fields that `names` pick, in one form: each name once more takes the next field up from the bottom; a name without a
    /// field left adds nothing.
    pub(super) fn header(&self, names: &[String], form: Form) -> Vec<u8> {
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mut header = Vec::new();
        for name in names {
            let name = name.to_ascii_lowercase();
            let fields = self.named(&name);
            let taken = taken.entry(name).or_default();
            if let Some(field) = fields.iter().rev().nth(*taken) {
                form.field(field.raw(), &mut header);
            }
            *taken += 1;
        }
        header
    }

    /// The hash of the body; `None` when signatures want more kinds of it than are computed.
    pub(super) fn body(
        &self,
        form: Form,
        limit: Option<u64>,
        algorithm: &'static digest::Algorithm,
    ) -> Option<BodyHash> {
        let key = BodyKey { form, limit, algorithm };
        // Nothing within can panic half-way, so a poisoned list is as good as any.
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, hash)) = bodies.iter().find(|(known, _)| *known == key) {
            return Some(hash.clone());
        }
        if bodies.len() == BODY_KINDS_MAX {
            return None;
        }
        let hash = hash_body(self.message.body_bytes(), form, limit, algorithm);
        bodies.push((key, hash.clone()));
        Some(hash)
    }
}
