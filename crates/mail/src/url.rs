//! URLs and mail addresses of a message, with where each was seen: in the text, as the target of a link, an image, a
//! form, in the header, in the name of an attachment. Bounded, linear, no DNS. What they are worth is for others.

mod candidates;

use std::collections::HashSet;
use std::net::IpAddr;

use candidates::candidates;
use url::Url;

use crate::charset::decode_undeclared;
use crate::html::Html;
use crate::transfer::decode_percent;
use crate::{Address, Defect, Defects, Domain, Limits, Message};

/// Where a URL was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum UrlPlace {
    /// In visible text.
    Text,
    /// In text that is not shown: hidden, or of an alternative that is not picked.
    HiddenText,
    /// The target of a link.
    Link,
    /// The source of an image or background.
    Image,
    /// Where a form is sent.
    Form,
    /// Another reference of HTML: frame, style sheet, script, refresh, base.
    Other,
    /// In a header field.
    Header,
    /// In the name of an attachment.
    FileName,
}

/// How a URL was written in plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UrlForm {
    /// With a scheme.
    Full,
    /// `www.example.org`, which mail programs make a link of.
    Www,
    /// `example.org/path`, which some make a link of.
    Bare,
    /// `jane@example.org`.
    Address,
}

/// The host of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UrlHost {
    /// A name.
    Domain(Domain),
    /// An address, in whatever notation it was written.
    Ip(IpAddr),
}

/// A URL or mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUrl {
    /// As written, references of HTML decoded, cut at the limit.
    pub written: String,
    /// As a browser understands it: scheme and host in lower case, host in A-labels, escapes and dots put straight.
    /// `None` where a browser makes nothing of it.
    pub normal: Option<String>,
    /// The scheme in lower case: `http`, `https`, `mailto`, `tel`, `data`; `http` where it was left out.
    pub scheme: String,
    /// The host; of a mail address its domain. `None` for `tel:` and the like.
    pub host: Option<UrlHost>,
    /// The mail address of a `mailto:` or a bare address.
    pub address: Option<Address>,
    /// Whether a user name stands before the host (`http://bank.example@evil.example/`).
    pub has_user: bool,
    /// A port other than that of the scheme.
    pub port: Option<u16>,
    /// How it was written.
    pub form: UrlForm,
    /// Where it was seen.
    pub place: UrlPlace,
    /// Index of the part; 0 for the header.
    pub part: usize,
    /// The text that a reader sees of a link.
    pub label: Option<String>,
}

impl FoundUrl {
    /// The name of the host.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            Some(UrlHost::Domain(domain)) => Some(domain),
            _ => None,
        }
    }

    /// The domain that the label names, if it reads like a URL or host name.
    #[must_use]
    pub fn label_domain(&self) -> Option<Domain> {
        let label = self.label.as_deref()?.trim();
        let word = label.split_whitespace().next().filter(|_| label.split_whitespace().count() <= LABEL_WORDS_MAX)?;
        let (written, form) = candidates(word).next()?;
        read_written(written, form)?.domain().cloned()
    }

    /// Whether the label names another registrable domain than the link leads to.
    #[must_use]
    pub fn is_label_foreign(&self) -> bool {
        let (Some(label), Some(domain)) = (self.label_domain(), self.domain()) else { return false };
        !label.is_same_organization(domain)
    }
}

/// Words of a label that may still be a URL or host name.
const LABEL_WORDS_MAX: usize = 3;
/// Candidates looked at for each URL that may be kept: repetitions cost time as well.
const TRIES_PER_URL: usize = 8;

/// The URLs of a message, in the order header, shown text, text that is not shown, file names.
pub(crate) fn read(message: &Message) -> (Vec<FoundUrl>, Defects) {
    let mut finder = Finder::new(message.limits());
    finder.header(message);
    for is_shown in [true, false] {
        for view in message.views().iter().filter(|view| view.is_shown == is_shown) {
            finder.part = view.part;
            let place = if is_shown { UrlPlace::Text } else { UrlPlace::HiddenText };
            if let Some(html) = &view.html {
                finder.html(html);
            }
            finder.text(&view.visible, place);
        }
    }
    for part in message.parts() {
        finder.part = part.index();
        if let Some(name) = part.file_name() {
            finder.text(name, UrlPlace::FileName);
        }
    }
    let mut defects = Defects::default();
    if finder.is_full {
        defects.add(Defect::TooManyUrls, 0);
    }
    (finder.found, defects)
}

/// The URLs and addresses in plain `text`.
#[must_use]
pub fn find_urls(text: &str, limits: &Limits) -> Vec<FoundUrl> {
    let mut finder = Finder::new(limits);
    finder.text(text, UrlPlace::Text);
    finder.found
}

struct Finder<'a> {
    limits: &'a Limits,
    found: Vec<FoundUrl>,
    seen: HashSet<(UrlPlace, String, Option<String>)>,
    part: usize,
    is_full: bool,
    tries: usize,
}

impl<'a> Finder<'a> {
    fn new(limits: &'a Limits) -> Finder<'a> {
        Finder { limits, found: Vec::new(), seen: HashSet::new(), part: 0, is_full: false, tries: 0 }
    }

    fn add(&mut self, url: Option<FoundUrl>, place: UrlPlace, label: Option<&str>) {
        let Some(url) = url else { return };
        self.tries += 1;
        if self.found.len() >= self.limits.urls_max || self.tries > self.limits.urls_max * TRIES_PER_URL {
            self.is_full = true;
            return;
        }
        let label = label.filter(|label| !label.is_empty()).map(str::to_owned);
        if self.seen.insert((place, url.written.clone(), label.clone())) {
            self.found.push(FoundUrl { place, part: self.part, label, ..url });
        }
    }

    fn text(&mut self, text: &str, place: UrlPlace) {
        for (written, form) in candidates(text) {
            if self.is_full {
                return;
            }
            self.add(read_written(cut(written, self.limits.url_octets_max), form), place, None);
        }
    }

    fn html(&mut self, html: &Html) {
        let base = html.base.as_deref().and_then(|base| Url::parse(base).ok());
        let read = |written: &str, limits: &Limits| read_target(cut(written, limits.url_octets_max), base.as_ref());
        for link in &html.links {
            self.add(read(&link.href, self.limits), UrlPlace::Link, Some(&link.text));
        }
        for image in &html.images {
            self.add(read(&image.src, self.limits), UrlPlace::Image, None);
        }
        for form in &html.forms {
            self.add(read(&form.action, self.limits), UrlPlace::Form, None);
        }
        for other in html.others.iter().chain(&html.refresh).chain(&html.base) {
            self.add(read(other, self.limits), UrlPlace::Other, None);
        }
        for hidden in &html.hidden {
            self.text(&hidden.text, UrlPlace::HiddenText);
        }
    }

    fn header(&mut self, message: &Message) {
        for mailbox in message.from().iter().chain(message.sender()).chain(message.reply_to()) {
            self.add(mailbox.address.as_ref().map(of_address), UrlPlace::Header, None);
            self.text(&mailbox.name, UrlPlace::Header);
        }
        self.text(message.subject().unwrap_or_default(), UrlPlace::Header);
        for uri in message.list_unsubscribe() {
            self.add(read_target(cut(&uri, self.limits.url_octets_max), None), UrlPlace::Header, None);
        }
    }
}

/// The beginning of `text`, at most `octets` long.
pub(crate) fn cut(text: &str, octets: usize) -> &str {
    let mut end = octets.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Reads what was found in text.
fn read_written(written: &str, form: UrlForm) -> Option<FoundUrl> {
    match form {
        UrlForm::Address => {
            Address::parse(written).ok().map(|address| FoundUrl { written: written.to_owned(), ..of_address(&address) })
        }
        UrlForm::Full => {
            // `hxxp` is how people write links that must not be clicked; the reader knows what is meant.
            let meant = match written.get(..4) {
                Some(start) if start.eq_ignore_ascii_case("hxxp") => format!("http{}", written.get(4..)?),
                _ => written.to_owned(),
            };
            let url = Url::parse(&meant).ok()?;
            let found = of_url(written, &url, form);
            (found.host.is_some() && (found.scheme != "mailto" || found.address.is_some())).then_some(found)
        }
        UrlForm::Www | UrlForm::Bare => {
            let scheme =
                if written.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("ftp.")) { "ftp" } else { "http" };
            let url = Url::parse(&format!("{scheme}://{written}")).ok()?;
            Some(of_url(written, &url, form))
        }
    }
}

/// Reads the target of a link or the source of an image. `None` for what leads nowhere outside of the message.
fn read_target(written: &str, base: Option<&Url>) -> Option<FoundUrl> {
    let written = written.trim();
    if written.is_empty() || written.starts_with('#') {
        return None;
    }
    let parsed = match base {
        Some(base) => Url::options().base_url(Some(base)).parse(written),
        None => Url::parse(written),
    };
    match parsed {
        Ok(url) if matches!(url.scheme(), "cid" | "mid" | "about") => None,
        Ok(url) => Some(of_url(written, &url, UrlForm::Full)),
        Err(url::ParseError::RelativeUrlWithoutBase) if written.starts_with("//") => {
            let url = Url::parse(&format!("http:{written}")).ok()?;
            Some(of_url(written, &url, UrlForm::Full))
        }
        Err(url::ParseError::RelativeUrlWithoutBase) => {
            let (found, form) = candidates(written).next().filter(|(found, _)| written.starts_with(found))?;
            read_written(found, form)
        }
        Err(_) => Some(unreadable(written)),
    }
}

/// A target that browsers make nothing of.
fn unreadable(written: &str) -> FoundUrl {
    let scheme = written.split(':').next().unwrap_or_default().to_ascii_lowercase();
    FoundUrl {
        written: written.to_owned(),
        normal: None,
        scheme,
        host: None,
        address: None,
        has_user: false,
        port: None,
        form: UrlForm::Full,
        place: UrlPlace::Other,
        part: 0,
        label: None,
    }
}

fn of_url(written: &str, url: &Url, form: UrlForm) -> FoundUrl {
    let host = match url.host() {
        Some(url::Host::Domain(name)) => Domain::parse(name).ok().map(UrlHost::Domain),
        Some(url::Host::Ipv4(ip)) => Some(UrlHost::Ip(ip.into())),
        Some(url::Host::Ipv6(ip)) => Some(UrlHost::Ip(IpAddr::V6(ip).to_canonical())),
        None => None,
    };
    let address = (url.scheme() == "mailto").then(|| mailto_address(url)).flatten();
    let host = host.or_else(|| address.as_ref().map(|address| UrlHost::Domain(address.domain().clone())));
    FoundUrl {
        normal: Some(url.as_str().to_owned()),
        scheme: url.scheme().to_owned(),
        host,
        address,
        has_user: !url.username().is_empty() || url.password().is_some(),
        port: url.port(),
        form,
        ..unreadable(written)
    }
}

/// The first address of a `mailto:` (RFC 6068).
fn mailto_address(url: &Url) -> Option<Address> {
    let first = url.path().trim_start_matches('/').split(',').next()?;
    let decoded = decode_undeclared(&decode_percent(first.as_bytes()));
    Address::parse(decoded.trim()).ok().or_else(|| {
        // `mailto://user@example.org` is read as a host with a user.
        let host = url.host_str().filter(|_| !url.username().is_empty())?;
        Address::parse(&format!("{}@{host}", url.username())).ok()
    })
}

fn of_address(address: &Address) -> FoundUrl {
    FoundUrl {
        normal: Some(format!("mailto:{address}")),
        scheme: "mailto".to_owned(),
        host: Some(UrlHost::Domain(address.domain().clone())),
        address: Some(address.clone()),
        form: UrlForm::Address,
        ..unreadable(&address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(body: &str) -> Vec<FoundUrl> {
        let raw = format!("From: a@b.example\nContent-Type: text/html\n\n{body}");
        let found = Message::parse(raw.into_bytes(), &Limits::default()).urls().to_vec();
        // The address of the author is in each.
        found.into_iter().filter(|url| url.place != UrlPlace::Header).collect()
    }

    #[test]
    fn targets_as_browsers_read_them() {
        for (href, normal, host, why) in [
            ("HTTP://A.Example/%7Ex", Some("http://a.example/%7Ex"), "a.example", "case"),
            ("ht\ntps://a.exa\tmple/", Some("https://a.example/"), "a.example", "tabs and line ends vanish"),
            ("http:\\\\a.example\\x", Some("http://a.example/x"), "a.example", "backslashes"),
            ("//a.example/x", Some("http://a.example/x"), "a.example", "no scheme"),
            ("www.a.com/x", Some("http://www.a.com/x"), "www.a.com", "neither scheme nor slashes"),
            ("http://0x7f.1/", Some("http://127.0.0.1/"), "127.0.0.1", "an address in disguise"),
            ("http://[::ffff:192.0.2.1]/", Some("http://[::ffff:c000:201]/"), "192.0.2.1", "IPv4 within IPv6"),
            ("http://b\u{fc}cher.example/", Some("http://xn--bcher-kva.example/"), "xn--bcher-kva.example", "U-labels"),
            (
                "http://a.example\u{3002}org/",
                Some("http://a.example.org/"),
                "a.example.org",
                "an ideographic full stop",
            ),
            ("mailto:x%40y.example?subject=z", Some("mailto:x%40y.example?subject=z"), "y.example", "a mail address"),
            ("http://a b/", None, "-", "what no browser reads"),
        ] {
            let found = urls(&format!("<a href='{href}'>x</a>"));
            let [url] = found.as_slice() else { panic!("{why}: {found:?}") };
            let shown = match &url.host {
                Some(UrlHost::Domain(domain)) => domain.to_string(),
                Some(UrlHost::Ip(ip)) => ip.to_string(),
                None => "-".to_owned(),
            };
            assert_eq!((url.normal.as_deref(), shown.as_str()), (normal, host), "{why}");
        }
        for href in ["", "#top", "cid:1", "/relative"] {
            assert_eq!(urls(&format!("<a href='{href}'>x</a>")), [], "{href} leads nowhere outside");
        }
    }

    #[test]
    fn places_and_forms() {
        let found = urls(
            "<base href='https://base.com/d/'><a href='e'>x</a><img src='http://u:p@img.com:81/'><form action='//form.com'></form>\
             <iframe src='http://frame.com'></iframe>www.text.com, bare.com/x; http://in.com/?u=http://redirect.com \
             <p style='display:none'>hidden.com</p>",
        );
        let listed: Vec<_> = found.iter().map(|url| (url.place, url.form, url.domain().unwrap().as_str())).collect();
        for expected in [
            (UrlPlace::Link, UrlForm::Full, "base.com"),
            (UrlPlace::Image, UrlForm::Full, "img.com"),
            (UrlPlace::Form, UrlForm::Full, "form.com"),
            (UrlPlace::Other, UrlForm::Full, "frame.com"),
            (UrlPlace::Text, UrlForm::Www, "www.text.com"),
            (UrlPlace::Text, UrlForm::Bare, "bare.com"),
            (UrlPlace::Text, UrlForm::Full, "in.com"),
            (UrlPlace::Text, UrlForm::Full, "redirect.com"),
            (UrlPlace::HiddenText, UrlForm::Bare, "hidden.com"),
        ] {
            assert!(listed.contains(&expected), "{expected:?} in {listed:?}");
        }
        let image = found.iter().find(|url| url.place == UrlPlace::Image).unwrap();
        assert_eq!((image.has_user, image.port), (true, Some(81)));
    }

    #[test]
    fn labels_that_name_another_domain() {
        for (href, label, is_foreign, why) in [
            ("https://evil.com/", "https://www.bank.com/", true, "another domain"),
            ("https://evil.com/", "www.bank.com", true, "without scheme"),
            ("https://evil.com/", "bank.com", true, "a bare name"),
            ("https://login.bank.com/", "www.bank.com", false, "the same registrable domain"),
            ("https://evil.com/", "Your bank", false, "no name at all"),
            ("https://evil.com/", "We are moving from bank.com to a new site soon", false, "a sentence"),
        ] {
            let found = urls(&format!("<a href='{href}'>{label}</a>"));
            let link = found.iter().find(|url| url.place == UrlPlace::Link).unwrap();
            assert_eq!(link.is_label_foreign(), is_foreign, "{why}");
        }
    }
}
