//! Links of a message: found in its text and its HTML, in canonical forms, with their hosts.

mod canonical;
mod text;

use std::collections::HashMap;

use super::html::HtmlFacts;
use super::{Uri, UriSource, domain, octets};
use crate::settings::Settings;

pub(crate) use canonical::canonical;

pub(crate) const URI_OCTETS_MAX: usize = 8192;
/// Links of one message; what comes later is left out.
const URIS_MAX: usize = 20_000;

/// All links of a message, and whether one was cut at its limit.
pub(crate) fn collect(
    body: &[Vec<u8>],
    html: &HtmlFacts,
    signatures: &[&[u8]],
    settings: &Settings,
) -> (Vec<Uri>, bool) {
    let mut collector = Collector { uris: Vec::new(), index: HashMap::new(), settings, is_truncated: false };
    for link in text::links(body, &settings.suffixes) {
        collector.add(&link.uri, &link.sources, true);
    }
    for part in &html.parts {
        collector.is_truncated |= part.is_uri_truncated;
        for link in &part.links {
            let mut sources: Vec<UriSource> = link.tags.iter().map(|tag| UriSource::Tag(tag)).collect();
            if sources.is_empty() {
                sources.push(UriSource::Parsed);
            }
            if let Some(index) = collector.add(link.uri.as_bytes(), &sources, false) {
                collector.add_anchors(index, &link.anchor_texts);
            }
        }
    }
    if settings.last("parse_dkim_uris").is_none_or(|value| value.trim() != "0") {
        for domain in signatures {
            collector.add_signature(domain);
        }
    }
    (collector.uris, collector.is_truncated)
}

struct Collector<'s> {
    uris: Vec<Uri>,
    index: HashMap<Vec<u8>, usize>,
    settings: &'s Settings,
    is_truncated: bool,
}

impl Collector<'_> {
    /// Adds a link in its canonical forms. With `needs_host`, one that names no host with a known top-level domain is left out.
    fn add(&mut self, raw: &[u8], sources: &[UriSource], needs_host: bool) -> Option<usize> {
        let mut cleaned = canonical(raw, &self.settings.redirectors, &self.settings.suffixes);
        for form in &mut cleaned {
            self.is_truncated |= form.len() > URI_OCTETS_MAX;
            form.truncate(URI_OCTETS_MAX);
        }
        let hosts: Vec<(Vec<u8>, Vec<u8>)> =
            cleaned.iter().filter_map(|form| domain::of_uri(form, &self.settings.suffixes)).collect();
        if needs_host && hosts.is_empty() {
            return None;
        }
        let index = self.entry(raw)?;
        let uri = self.uris.get_mut(index)?;
        for form in cleaned {
            push_new(&mut uri.cleaned, form);
        }
        for (domain, host) in hosts {
            push_new(&mut uri.domains, octets::lossy(&domain));
            push_new(&mut uri.hosts, octets::lossy(&host));
        }
        for source in sources {
            push_new(&mut uri.sources, *source);
        }
        Some(index)
    }

    fn entry(&mut self, raw: &[u8]) -> Option<usize> {
        if let Some(index) = self.index.get(raw) {
            return Some(*index);
        }
        if self.uris.len() >= URIS_MAX {
            self.is_truncated = true;
            return None;
        }
        let index = self.uris.len();
        self.uris.push(Uri { raw: raw.to_vec(), ..Uri::default() });
        self.index.insert(raw.to_vec(), index);
        Some(index)
    }

    fn add_anchors(&mut self, index: usize, texts: &[String]) {
        let Some(uri) = self.uris.get_mut(index) else { return };
        for text in texts {
            push_new(&mut uri.anchor_texts, text.as_bytes().to_vec());
        }
    }

    /// The domain of a signature: looked up like the host of a link, but no `uri` rule sees it.
    fn add_signature(&mut self, signer: &[u8]) {
        let Some((domain, host)) = domain::of_uri(signer, &self.settings.suffixes) else { return };
        let Some(uri) = self.entry(&[b"domainkeys:", signer].concat()).and_then(|index| self.uris.get_mut(index))
        else {
            return;
        };
        push_new(&mut uri.domains, octets::lossy(&domain));
        push_new(&mut uri.hosts, octets::lossy(&host));
        push_new(&mut uri.sources, UriSource::Dkim);
    }
}

/// Lists here are short: a link has a few forms and hosts. Anchor texts alone can be many, so the search is cut off.
fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    const COMPARED_MAX: usize = 64;
    if !list.iter().take(COMPARED_MAX).any(|known| *known == item) {
        list.push(item);
    }
}
