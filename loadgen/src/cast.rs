//! Who plays a scenario: its groups as connections of a run, each with its dialogue, its server and its time of coming.
//!
//! Invariant: the same scenario, accounts and seed give the same connections with the same chances.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use crate::dialogue::Dialogue;
use crate::engine::{Member, Storm, Target};
use crate::ledger::Ledger;
use crate::limits::CONNECTIONS_MAX;
use crate::link::{Throttle, Tls};
use crate::message::{Assortment, Template};
use crate::names::Names;
use crate::random::Zipf;
use crate::scenario::{Group, Protocol, Scenario, Security, mailboxes, script};
use crate::script::Think;
use crate::{imap, pop3, smtp};

/// Where a scenario is played.
#[derive(Debug)]
pub struct Stage {
    /// The server's ports, by the option that names them: `imap`, `imaps`, `submission` …
    pub ports: BTreeMap<&'static str, SocketAddr>,
    /// How TLS is spoken.
    pub tls: Option<Tls>,
    /// The accounts; they are also the recipients.
    pub users: Names,
    /// The password of all of them.
    pub password: String,
    /// By what the connections of each group are multiplied.
    pub scale: f64,
    /// Tells this run's messages from those of others.
    pub run: u64,
    /// The seed of all chance.
    pub seed: u64,
    /// True: users think; false: each of their operations follows when the one before it was answered.
    pub thinks: bool,
    /// Where promises are written down.
    pub ledger: Option<Rc<RefCell<Ledger>>>,
}

/// The connections of a scenario.
#[derive(Default)]
pub struct Cast {
    /// Their servers.
    pub targets: Vec<Target>,
    /// They themselves.
    pub members: Vec<Member>,
    /// What befalls them.
    pub storms: Vec<Storm>,
}

/// The name of the option for a group's port.
pub fn port(group: &Group) -> &'static str {
    match (group.protocol, group.tls == Security::Implicit) {
        (Protocol::Imap, false) => "imap",
        (Protocol::Imap, true) => "imaps",
        (Protocol::Pop3, false) => "pop3",
        (Protocol::Pop3, true) => "pop3s",
        (Protocol::Submission, false) => "submission",
        (Protocol::Submission, true) => "submissions",
        (Protocol::Smtp, _) => "smtp",
        (Protocol::Lmtp, _) => "lmtp",
    }
}

/// How many connections of each group there are at this scale; at least one.
pub fn connections(group: &Group, scale: f64) -> u32 {
    ((f64::from(group.connections) * scale).round() as u32).max(1)
}

/// Makes the connections of `scenario`.
pub fn cast(scenario: &Scenario, stage: &Stage) -> Result<Cast, String> {
    let all: f64 = scenario.groups.iter().map(|group| f64::from(connections(group, stage.scale))).sum();
    if all > f64::from(CONNECTIONS_MAX) {
        return Err(format!("{all} connections in all: at most {CONNECTIONS_MAX}"));
    }
    let mut cast = Cast::default();
    for group in &scenario.groups {
        let told = |what: String| format!("group \"{}\": {what}", group.name);
        let name = port(group);
        let address = *stage.ports.get(name).ok_or_else(|| told(format!("give its server, with --{name}")))?;
        let throttle = Throttle { read: group.read_rate, write: group.write_rate };
        let tls = (group.tls != Security::None).then(|| stage.tls.clone()).flatten();
        let target = cast.targets.len();
        cast.targets.push(Target { address, tls, implicit_tls: group.tls == Security::Implicit, throttle });
        let (first, count) = (cast.members.len(), connections(group, stage.scale));
        let dialogues = dialogues(scenario, group, (stage, count)).map_err(told)?;
        for (index, dialogue) in dialogues.into_iter().enumerate() {
            let starts_after = group.ramp.0.mul_f64(index as f64 / f64::from(count));
            cast.members.push(Member { dialogue, target, starts_after });
        }
        if let Some(storm) = &group.storm {
            let connections = first..cast.members.len();
            cast.storms.push(Storm { every: storm.every.0, share: storm.share, connections });
        }
    }
    Ok(cast)
}

type Dialogues = Vec<Box<dyn Dialogue>>;

fn dialogues(scenario: &Scenario, group: &Group, (stage, connections): (&Stage, u32)) -> Result<Dialogues, String> {
    match group.protocol {
        Protocol::Imap => readers(scenario, group, (stage, connections)),
        Protocol::Pop3 => collectors(group, (stage, connections)),
        Protocol::Smtp | Protocol::Submission | Protocol::Lmtp => senders(scenario, group, (stage, connections)),
    }
}

fn zipf(scenario: &Scenario, stage: &Stage) -> Option<Zipf> {
    scenario.accounts.zipf.map(|s| Zipf::new(stage.users.count(), s))
}

fn mail(scenario: &Scenario, group: &Group, stage: &Stage) -> RefCell<Assortment> {
    let (from, to) = ("load@loadgen.invalid", stage.users.of(0));
    RefCell::new(Assortment::new(&scenario.mail.sizes(), from, &to, stage.run ^ number(group)))
}

fn think(group: &Group) -> Think {
    group.think.map_or(Think::NONE, |mean| Think::Mean(mean.0))
}

fn readers(scenario: &Scenario, group: &Group, (stage, connections): (&Stage, u32)) -> Result<Dialogues, String> {
    let script = script(group)?;
    let part = imap::Part {
        creates: mailboxes(&script),
        script: Rc::new(script),
        accounts: zipf(scenario, stage).filter(|_| !group.owns),
        mail: mail(scenario, group, stage),
        ledger: stage.ledger.clone(),
        owns: group.owns,
        waits: stage.thinks,
        seed: stage.seed ^ number(group),
    };
    let settings = Rc::new(imap::Settings {
        work: imap::Work::Part,
        depth: 1,
        users: stage.users.clone(),
        password: stage.password.clone(),
        connections,
        mailbox: group.mailbox.clone(),
        criterion: String::new(),
        found: None,
        starttls: group.tls == Security::Starttls,
        part: Some(part),
        template: RefCell::new(Template::new(0, "", "", 0)),
    });
    let now = Instant::now();
    Ok((0..connections).map(|index| boxed(imap::Client::new(settings.clone(), index, now))).collect())
}

fn collectors(group: &Group, (stage, connections): (&Stage, u32)) -> Result<Dialogues, String> {
    if stage.users.count() < connections {
        let count = stage.users.count();
        return Err(format!("{connections} connections, and {count} accounts: a maildrop has one session at a time"));
    }
    let settings = Rc::new(pop3::Settings {
        users: stage.users.clone(),
        password: stage.password.clone(),
        connections,
        retrieve: group.count.unwrap_or(5),
        shared: true,
        stls: group.tls == Security::Starttls,
        think: think(group),
    });
    let now = Instant::now();
    Ok((0..connections).map(|index| boxed(pop3::Client::new(settings.clone(), index, now))).collect())
}

fn senders(scenario: &Scenario, group: &Group, (stage, connections): (&Stage, u32)) -> Result<Dialogues, String> {
    let recipients = group.count.unwrap_or(1);
    let users = &stage.users;
    if recipients > users.count() {
        return Err(format!("{recipients} recipients of a message, and {} accounts", users.count()));
    }
    let submits = group.protocol == Protocol::Submission;
    let settings = Rc::new(smtp::Settings {
        from: if submits { users.of(0) } else { "load@loadgen.invalid".into() },
        to: users.clone(),
        recipients,
        lmtp: group.protocol == Protocol::Lmtp,
        credentials: submits.then(|| (users.clone(), stage.password.clone())),
        starttls: group.tls == Security::Starttls,
        mail: mail(scenario, group, stage),
        think: think(group),
        zipf: zipf(scenario, stage),
        ledger: stage.ledger.clone(),
    });
    let now = Instant::now();
    Ok((0..connections).map(|index| boxed(smtp::Client::new(settings.clone(), index, now))).collect())
}

fn boxed<D: Dialogue + 'static>(dialogue: D) -> Box<dyn Dialogue> {
    Box::new(dialogue)
}

/// Tells the messages and the chance of one group from those of the others.
fn number(group: &Group) -> u64 {
    crate::message::checksum(group.name.as_bytes())
}
