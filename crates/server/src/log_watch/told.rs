//! What Exim itself tells of a delivery (`event_action`, see `packaging/exim/event.conf`), in the form of the events of its log.
//! Each telling carries what Exim knows of the message, so that no log is needed to know who sent it.

use std::net::IpAddr;

use jiff::Timestamp;
use tidegate_watch::{Arrival, Auth, Delivery, Event, Kind, Outcome, Peer, Reply, Source};
use tidegate_wire::exim::{Ask, DeliveryEvent, Origin};

/// Events that say what became of a recipient. The others, about a host or a single reply, come beside one of these.
const OUTCOMES: [(&str, Outcome); 4] = [
    ("msg:delivery", Outcome::Delivered),
    ("msg:defer", Outcome::Deferred),
    ("msg:fail:delivery", Outcome::Failed),
    ("msg:fail:internal", Outcome::Failed),
];
/// The event that says that nothing more will happen to a message.
const COMPLETED: &str = "msg:complete";

/// One telling.
#[derive(Clone, Debug)]
pub struct Told {
    id: String,
    event: DeliveryEvent,
    outcome: Option<Outcome>,
    recipient: String,
    sender: String,
    origin: Origin,
    login: Option<(String, String)>,
    protocol: Option<String>,
    size: Option<u64>,
    recipients: u32,
    time: tidegate_watch::Timestamp,
}

impl Told {
    /// The telling in `ask`, which arrived `now`; `None` if it names no message or no event.
    #[must_use]
    pub fn of(ask: &Ask, now: Timestamp) -> Option<Told> {
        let event = ask.event.clone()?;
        let transaction = &ask.transaction;
        let outcome = OUTCOMES.iter().find(|(name, _)| *name == event.name).map(|(_, outcome)| *outcome);
        let account = ask.login.account.clone();
        Some(Told {
            id: transaction.id.clone()?,
            outcome,
            event,
            recipient: transaction.recipient.as_ref().map(|path| path.as_str().to_owned()).unwrap_or_default(),
            sender: transaction.sender.as_ref().map(|path| path.as_str().to_owned()).unwrap_or_default(),
            origin: ask.origin.clone(),
            login: account.map(|account| (ask.login.mechanism.clone().unwrap_or_default(), account)),
            protocol: ask.protocol.clone(),
            size: transaction.size,
            recipients: transaction.counts.accepted,
            time: tidegate_watch::Timestamp::from_millis(now.as_millisecond()),
        })
    }

    /// The queue id of the message.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The arrival of the message, as far as Exim still knows it.
    pub(super) fn arrival(&self) -> Event<'_> {
        let peer = match &self.origin {
            Origin::Remote { client, host, .. } => {
                Peer { ip: Some(client.ip()), name: host.as_deref(), ..Peer::default() }
            }
            Origin::Local { user, .. } => Peer { ident: user.as_deref(), ..Peer::default() },
            Origin::Unknown => Peer::default(),
        };
        let auth = self.login.as_ref().map(|(mechanism, id)| Auth { mechanism, id: Some(id), sender: None });
        let arrival = Arrival {
            sender: Some(&self.sender),
            peer,
            protocol: self.protocol.as_deref(),
            auth,
            size: self.size,
            recipient_count: Some(self.recipients),
            ..Arrival::default()
        };
        self.of_kind(Kind::Arrival(Box::new(arrival)))
    }

    /// What is told, if it is about a recipient or the end of the message.
    pub(super) fn event(&self) -> Option<Event<'_>> {
        if self.event.name == COMPLETED {
            return Some(self.of_kind(Kind::Completed));
        }
        let text = self.event.text.as_deref();
        let ip = self.event.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
        let delivery = Delivery {
            outcome: self.outcome?,
            address: &self.recipient,
            original: None,
            sender: None,
            router: self.event.router.as_deref(),
            transport: self.event.transport.as_deref(),
            host: Peer { ip, name: self.event.host.as_deref(), ..Peer::default() },
            tls: None,
            size: None,
            text,
            reply: text.and_then(Reply::within),
        };
        Some(self.of_kind(Kind::Delivery(Box::new(delivery))))
    }

    fn of_kind<'a>(&'a self, kind: Kind<'a>) -> Event<'a> {
        Event { time: Some(self.time), source: Source::Exim, pid: None, id: Some(&self.id), kind }
    }
}
