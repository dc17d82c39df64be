//! Addresses that are this server's, or of the network in which it stands: its webmail, a proxy before it, a machine in the same house.
//! Mail may be sent from there by an intruder, and yet nobody is to block them.

use std::net::IpAddr;

use crate::event::{Event, Kind};

/// Addresses of this server that are remembered.
const ADDRESSES_MAX: usize = 64;

/// The addresses on which this server was seen to take mail.
#[derive(Debug, Default)]
pub(super) struct Ours(Vec<IpAddr>);

impl Ours {
    /// Notes at which address of ours a message came in, where the log says so.
    pub(super) fn feed(&mut self, event: &Event<'_>) {
        let Kind::Arrival(arrival) = &event.kind else { return };
        if arrival.is_doubtful || self.0.len() >= ADDRESSES_MAX {
            return;
        }
        if let Some(ip) = arrival.peer.interface.and_then(address_of)
            && !self.0.contains(&ip)
        {
            self.0.push(ip);
        }
    }

    /// Whether this is one of ours, or one that nobody on the internet has.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        is_local(ip) || self.0.contains(&ip.to_canonical())
    }
}

/// Whether an address leads nowhere on the internet: this machine, or a private network (RFC 1122, 1918, 3927, 4193, 4291).
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            first == 127 || first == 0 || ip.is_private() || ip.is_link_local()
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The address in `[192.0.2.1]:25`.
fn address_of(interface: &str) -> Option<IpAddr> {
    let (address, _) = interface.strip_prefix('[')?.split_once(']')?;
    address.parse().ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reader;

    #[test]
    fn what_nobody_is_to_block() {
        let line = "2026-03-02 10:00:00 1vn8YJ-0000000011u-0Vx0 <= a@site.example H=(x) [203.0.113.5]:4711 I=[192.0.2.25]:465 P=esmtpsa A=dovecot_login:a@site.example S=900";
        let mut ours = Ours::default();
        ours.feed(&Reader::new().read(line));
        for (ip, is_ours) in [
            ("127.0.0.1", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("0.0.0.0", true),
            ("10.2.3.4", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2001:db8::1", false),
            ("192.0.2.25", true),
            ("::ffff:192.0.2.25", true),
            ("203.0.113.5", false),
        ] {
            assert_eq!(ours.has(ip.parse().expect("an address")), is_ours, "{ip}");
        }
    }
}
