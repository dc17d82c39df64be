//! A message as DKIM and ARC sign it: which header fields a list of names picks (RFC 6376 section 5.4.2), and body hashes, each
//! computed once however many signatures share it.

use std::collections::HashMap;

use ring::digest;
use tidegate_mail::{HeaderField, Message};

use super::canonical::{BodyHash, Form, hash_body};

/// One message and what was computed of it.
pub(super) struct Signable<'a> {
    message: &'a Message,
    /// Fields by lower-case name, each list in the order of the header.
    by_name: HashMap<String, Vec<&'a HeaderField>>,
    bodies: Vec<(BodyKey, BodyHash)>,
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
        Signable { message, by_name, bodies: Vec::new() }
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

    /// The hash of the body.
    pub(super) fn body(&mut self, form: Form, limit: Option<u64>, algorithm: &'static digest::Algorithm) -> BodyHash {
        let key = BodyKey { form, limit, algorithm };
        if let Some((_, hash)) = self.bodies.iter().find(|(known, _)| *known == key) {
            return hash.clone();
        }
        let hash = hash_body(self.message.body_bytes(), form, limit, algorithm);
        self.bodies.push((key, hash.clone()));
        hash
    }
}
