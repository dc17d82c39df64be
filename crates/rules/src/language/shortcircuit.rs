//! What a `shortcircuit` line may ask for.

/// The priority of a rule that is `spam` or `ham` and has none.
pub(crate) const SETTLING_PRIORITY: i32 = -200;

/// What follows when the rule hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortcircuit {
    /// Rules that have not run by then do not run.
    Stop,
    /// The same, and the message is spam.
    Spam,
    /// The same, and the message is no spam.
    Ham,
}

impl Shortcircuit {
    /// Reads the second word of a `shortcircuit` line; `None` for what is no such word, and for `off`.
    pub(crate) fn read(text: &str) -> Option<Shortcircuit> {
        match text {
            "on" => Some(Shortcircuit::Stop),
            "spam" => Some(Shortcircuit::Spam),
            "ham" => Some(Shortcircuit::Ham),
            _ => None,
        }
    }

    /// The flags that the rule has besides its own.
    pub(crate) fn flags(self) -> Option<&'static str> {
        match self {
            Shortcircuit::Stop => None,
            Shortcircuit::Spam => Some("noautolearn"),
            Shortcircuit::Ham => Some("nice noautolearn"),
        }
    }
}
