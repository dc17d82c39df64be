//! Tidegate's own rules, built in: the files of `data/rules`, in the order in which they are read.

use crate::language::source::SourceFile;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$((concat!("tidegate/", $name), include_str!(concat!("../../../data/rules/", $name)))),*]
    };
}

/// Name (`tidegate/NN_topic.cf`) and text of each file.
pub const FILES: &[(&str, &str)] = files![
    "10_sender.cf",
    "20_account.cf",
    "25_links.cf",
    "30_invoice.cf",
    "40_extortion.cf",
    "50_parcel.cf",
    "60_advance_fee.cf",
    "65_goods.cf",
    "70_hidden.cf",
    "80_hosting.cf",
    "90_together.cf",
];

/// The files, ready to be read.
#[must_use]
pub fn files() -> Vec<SourceFile> {
    FILES.iter().map(|(name, text)| SourceFile { name: (*name).to_owned(), text: text.as_bytes().to_vec() }).collect()
}
