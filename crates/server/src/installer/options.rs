//! Options in the main section of an Exim configuration as they stand in its file, and the macros of our own.

/// The ACL options that Tidegate needs, the macro that names the panel's ACL for each, and our ACL that calls it.
pub(super) const ACLS: [(&str, &str, &str); 9] = [
    ("acl_smtp_connect", "TIDEGATE_NEXT_CONNECT", "tidegate_check_connect"),
    ("acl_smtp_helo", "TIDEGATE_NEXT_HELO", "tidegate_check_helo"),
    ("acl_smtp_auth", "TIDEGATE_NEXT_AUTH", "tidegate_check_auth"),
    ("acl_smtp_mail", "TIDEGATE_NEXT_MAIL", "tidegate_check_mail"),
    ("acl_smtp_rcpt", "TIDEGATE_NEXT_RCPT", "tidegate_check_rcpt"),
    ("acl_smtp_data", "TIDEGATE_NEXT_DATA", "tidegate_check_data"),
    ("acl_smtp_quit", "TIDEGATE_NEXT_QUIT", "tidegate_check_quit"),
    ("acl_smtp_notquit", "TIDEGATE_NEXT_LOST", "tidegate_check_notquit"),
    ("acl_not_smtp", "TIDEGATE_NEXT_LOCAL", "tidegate_check_not_smtp"),
];

/// Lets early talk be told: with this feature on, a client that talks before the greeting is accepted.
pub(super) const EARLY_TALK: (&str, &str) = ("pipelining_connect_advertise_hosts", ":");

/// What an administrator should find in the main log, and `tidegate logs` needs.
pub(super) const LOG_SELECTOR: &str = "+all_parents +arguments +incoming_interface +incoming_port \
                                       +lost_incoming_connection +received_recipients +received_sender \
                                       +smtp_confirmation +smtp_protocol_error +smtp_syntax_error +subject \
                                       +tls_cipher +pid";

/// [`EARLY_TALK`] for a file that may have conditions in it: where Exim does not have the feature, there is no option.
pub(super) fn early_talk() -> String {
    let (option, value) = EARLY_TALK;
    format!(".ifdef _OPT_MAIN_{}\n{option} = {value}\n.endif\n", option.to_ascii_uppercase())
}

/// The value of option or macro `name` in the main section of `text`, with its continuation lines joined.
pub(super) fn main_option(text: &str, name: &str) -> Option<String> {
    let mut lines = main_section(text).lines();
    while let Some(line) = lines.next() {
        let Some(value) = setting(line, name) else { continue };
        let mut value = value.to_owned();
        while let Some(open) = value.strip_suffix('\\') {
            let more = lines.next().unwrap_or_default().trim();
            value = format!("{}{more}", open);
        }
        return Some(value);
    }
    None
}

/// The value in `line`, if it sets `name`.
pub(super) fn setting<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?;
    Some(value.trim_start_matches('=').trim())
}

/// Everything before the first `begin`.
pub(super) fn main_section(text: &str) -> &str {
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("begin ") {
            break;
        }
        end += line.len();
    }
    text.get(..end).unwrap_or(text)
}

/// The value of an ACL option as a macro that `acl =` can use: an expansion with spaces in it has to stand in quotes.
pub(super) fn as_acl(value: &str) -> String {
    if value.starts_with('"') || !value.contains(char::is_whitespace) {
        return value.to_owned();
    }
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// `present` with what it lacks of [`LOG_SELECTOR`]; `None` if it lacks nothing.
pub(super) fn fuller_log_selector(present: &str) -> Option<String> {
    let has = |item: &&str| present.split_whitespace().any(|word| word == *item || word == "+all");
    let missing: Vec<&str> = LOG_SELECTOR.split_whitespace().filter(|item| !has(item)).collect();
    (!missing.is_empty()).then(|| format!("{present} {}", missing.join(" ")).trim().to_owned())
}

/// Every macro that `main`, the piece for the main section, defines, with the value it has there, in order.
pub(super) fn own_macros(main: &str) -> Vec<(&str, &str)> {
    let lines = main.lines().filter(|line| line.starts_with("TIDEGATE_"));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

/// Whether the administrator may set macro `name`: those that `main` only sets where they are not set yet.
pub(super) fn is_settable(main: &str, name: &str) -> bool {
    main.lines().any(|line| line.strip_prefix(".ifndef ").is_some_and(|other| other.trim() == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_exim_reads_them() {
        let text =
            "acl_smtp_rcpt=check\n  log_selector = \\\n   +subject \\\n   -queue_run\nbegin acl\nacl_smtp_data = no\n";
        assert_eq!(main_option(text, "acl_smtp_rcpt").as_deref(), Some("check"));
        assert_eq!(main_option(text, "log_selector").as_deref(), Some("+subject -queue_run"));
        assert_eq!(main_option(text, "acl_smtp_data"), None, "an ACL of that name is no option");
        assert_eq!(main_option("acl_smtp_rcpt_x = y\n", "acl_smtp_rcpt"), None);
    }

    #[test]
    fn an_expansion_is_put_in_quotes() {
        assert_eq!(as_acl("acl_check"), "acl_check");
        assert_eq!(as_acl(r#"${if eq{a}{"\b"} {x}{y}}"#), r#""${if eq{a}{\"\\b\"} {x}{y}}""#);
    }

    #[test]
    fn only_what_is_missing_is_added_to_the_log_selector() {
        assert_eq!(fuller_log_selector("+all"), None);
        assert_eq!(fuller_log_selector(LOG_SELECTOR), None);
        let fuller = fuller_log_selector("+subject -queue_run").unwrap();
        assert!(fuller.starts_with("+subject -queue_run +all_parents"), "{fuller}");
        assert_eq!(fuller.matches("+subject").count(), 1);
    }
}
