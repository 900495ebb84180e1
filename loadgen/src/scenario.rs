//! A scenario: who is there, what they do, and how often, out of a TOML file.
//!
//! Invariants: a scenario that was read can be run: every name in it is known, every state leads somewhere, every number is within
//! its bounds; else the error says where and what. It names no server: addresses and passwords come from the command line, so
//! that the same file runs on every server. Scenarios that come along are in the folder `scenarios`.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use serde::Deserialize;

use crate::imap::Action;
use crate::limits::{
    CONNECTIONS_MAX, MESSAGE_BYTES_MAX, MESSAGE_BYTES_MIN, SCENARIO_BYTES_MAX, SECONDS_MAX, SIZES, USERS_MAX,
};
use crate::random::Random;
use crate::script::{Script, State, Think};

/// Scenarios that come along, by name.
pub const READY: [(&str, &str); 8] = [
    ("office-day", include_str!("../scenarios/office-day.toml")),
    ("webmail", include_str!("../scenarios/webmail.toml")),
    ("phone-sync", include_str!("../scenarios/phone-sync.toml")),
    ("newsletter", include_str!("../scenarios/newsletter.toml")),
    ("login-storm", include_str!("../scenarios/login-storm.toml")),
    ("poor-lines", include_str!("../scenarios/poor-lines.toml")),
    ("chaos", include_str!("../scenarios/chaos.toml")),
    ("outage", include_str!("../scenarios/outage.toml")),
];

/// A scenario as its file says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it stands for, in a sentence.
    pub about: String,
    /// The measured time, where the command line says nothing. Seconds.
    pub seconds: f64,
    /// The time before it.
    #[serde(default)]
    pub warm_up: Time,
    /// Whose mail it is.
    pub accounts: Accounts,
    /// What is sent.
    #[serde(default)]
    pub mail: Mail,
    /// Who is there.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
}

/// The accounts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// How many, where the command line says nothing.
    pub count: u32,
    /// How unevenly they are used: Zipf's exponent, 0 for evenly; without it each connection has an account of its own.
    pub zipf: Option<f64>,
}

/// The sizes of messages: log-normal.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Half of them are smaller. Octets.
    pub median: usize,
    /// The standard deviation of the logarithm; 0: all alike.
    #[serde(default)]
    pub spread: f64,
    /// None is larger. Octets.
    #[serde(default = "Mail::most")]
    pub most: usize,
}

impl Mail {
    fn most() -> usize {
        1 << 20
    }

    /// Sizes that stand for the distribution: its quantiles.
    pub fn sizes(&self) -> Vec<usize> {
        if self.spread == 0.0 {
            return vec![self.median];
        }
        let mut normal: Vec<f64> = (0..SIZES * 64).scan(Random::new(1), |random, _| Some(random.normal())).collect();
        normal.sort_by(f64::total_cmp);
        let of = |normal: &f64| (self.median as f64 * (normal * self.spread).exp()) as usize;
        let middle = normal.iter().skip(32).step_by(64);
        middle.map(|normal| of(normal).clamp(MESSAGE_BYTES_MIN, self.most)).collect()
    }
}

impl Default for Mail {
    fn default() -> Mail {
        Mail { median: 8192, spread: 0.0, most: Mail::most() }
    }
}

/// A time as it is written: `250ms`, `20s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Time, String> {
        let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let factor = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("\"{text}\" is not a time: write 250ms, 20s, 5m or 1h")),
        };
        let seconds = number.parse::<f64>().map_err(|_| format!("\"{text}\" is not a time"))? * factor;
        if !(0.0..=SECONDS_MAX).contains(&seconds) {
            return Err(format!("\"{text}\": from 0 to {SECONDS_MAX} s"));
        }
        Ok(Time(Duration::from_secs_f64(seconds)))
    }
}

/// The protocols of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// POP3: a session each time.
    Pop3,
    /// SMTP, as another server delivers.
    Smtp,
    /// SMTP with a login.
    Submission,
    /// LMTP.
    Lmtp,
}

/// How a group's connections are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Not at all.
    #[default]
    None,
    /// By STARTTLS or STLS.
    Starttls,
    /// From the first octet.
    Implicit,
}

/// Connections that are lost together.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupStorm {
    /// The time between two.
    pub every: Time,
    /// The share that is lost, from 0 to 1.
    pub share: f64,
}

/// People, or programs, who do the same.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name, in errors.
    pub name: String,
    /// What they speak.
    pub protocol: Protocol,
    /// How it is secured.
    #[serde(default)]
    pub tls: Security,
    /// How many of them there are.
    pub connections: u32,
    /// Over what time they come, evenly.
    #[serde(default)]
    pub ramp: Time,
    /// Octets a second that each reads; as fast as can be without it.
    pub read_rate: Option<u64>,
    /// Octets a second that each writes.
    pub write_rate: Option<u64>,
    /// Their network fails.
    pub storm: Option<GroupStorm>,
    /// IMAP: the mailbox that is selected.
    #[serde(default = "Group::inbox")]
    pub mailbox: String,
    /// IMAP: each session changes messages of its own alone, so that every promise is checked.
    #[serde(default)]
    pub owns: bool,
    /// POP3: messages of a session. SMTP, LMTP: recipients of a message.
    pub count: Option<u32>,
    /// Other than IMAP: the time between two operations of each.
    pub think: Option<Time>,
    /// IMAP: the state where a session begins.
    pub start: Option<String>,
    /// IMAP: the states.
    #[serde(default)]
    pub states: BTreeMap<String, GroupState>,
}

impl Group {
    fn inbox() -> String {
        "INBOX".into()
    }
}

/// A state of a group's script.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupState {
    /// The action.
    #[serde(rename = "do")]
    pub action: String,
    /// The mailbox of append, copy, move and status.
    pub to: Option<String>,
    /// The criterion of search.
    pub what: Option<String>,
    /// The time until the next action: exponential with this mean.
    pub think: Option<Time>,
    /// The time until the next action: this, always.
    pub every: Option<Time>,
    /// The states that may follow, with their weights.
    pub next: BTreeMap<String, f64>,
}

/// Reads the scenario of this name, or of this file.
pub fn load(name: &str) -> Result<(Scenario, String), String> {
    let text = match READY.iter().find(|(ready, _)| *ready == name) {
        Some((_, text)) => (*text).to_owned(),
        None if Path::new(name).exists() => read(name)?,
        None => {
            let ready: Vec<_> = READY.iter().map(|(name, _)| *name).collect();
            return Err(format!("{name}: no such file, and none of {}", ready.join(", ")));
        }
    };
    parse(&text).map(|scenario| (scenario, text)).map_err(|what| format!("{name}: {what}"))
}

fn read(path: &str) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("{path}: {error}"))?.len();
    if length > SCENARIO_BYTES_MAX {
        return Err(format!("{path}: {length} octets, and a scenario has {SCENARIO_BYTES_MAX} at most"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// Reads and checks.
pub fn parse(text: &str) -> Result<Scenario, String> {
    let scenario: Scenario = toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
    within("seconds", scenario.seconds, 0.01, SECONDS_MAX)?;
    within("accounts.count", scenario.accounts.count.into(), 1.0, USERS_MAX.into())?;
    within("accounts.zipf", scenario.accounts.zipf.unwrap_or(0.0), 0.0, 10.0)?;
    let mail = &scenario.mail;
    for (name, bytes) in [("mail.median", mail.median), ("mail.most", mail.most)] {
        within(name, bytes as f64, MESSAGE_BYTES_MIN as f64, MESSAGE_BYTES_MAX as f64)?;
    }
    within("mail.spread", mail.spread, 0.0, 5.0)?;
    if scenario.groups.is_empty() {
        return Err("there is no [[group]]".into());
    }
    for (at, group) in scenario.groups.iter().enumerate() {
        // Messages and chance of a group are told apart by its name.
        if scenario.groups[..at].iter().any(|other| other.name == group.name) {
            return Err(format!("two groups are called \"{}\"", group.name));
        }
        check(group).map_err(|what| format!("group \"{}\": {what}", group.name))?;
    }
    Ok(scenario)
}

fn within(name: &str, value: f64, least: f64, most: f64) -> Result<(), String> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(format!("{name} is {value}: from {least} to {most}")) }
}

fn check(group: &Group) -> Result<(), String> {
    within("connections", group.connections.into(), 1.0, CONNECTIONS_MAX.into())?;
    for (name, rate) in [("read_rate", group.read_rate), ("write_rate", group.write_rate)] {
        within(name, rate.unwrap_or(1) as f64, 1.0, 1e12)?;
    }
    if let Some(storm) = &group.storm {
        within("storm.share", storm.share, 0.0, 1.0)?;
        within("storm.every", storm.every.0.as_secs_f64(), 0.1, SECONDS_MAX)?;
    }
    if group.protocol == Protocol::Imap {
        return match group.think {
            Some(_) => Err("IMAP thinks by states, not by think".into()),
            None => script(group).map(drop),
        };
    }
    if group.states.is_empty() && group.start.is_none() && !group.owns {
        let think = group.think.ok_or("think is missing: the time between two operations of each")?;
        return within("think", think.0.as_secs_f64(), 1e-6, SECONDS_MAX);
    }
    Err("states, start and owns are for IMAP".into())
}

/// The state machine of an IMAP group.
pub fn script(group: &Group) -> Result<Script<Action>, String> {
    let names: Vec<&String> = group.states.keys().collect();
    let place =
        |name: &String| names.iter().position(|known| *known == name).ok_or(format!("there is no state \"{name}\""));
    let start = place(group.start.as_ref().ok_or("start is missing: the state where a session begins")?)?;
    let mut states = Vec::with_capacity(names.len());
    for (name, state) in &group.states {
        let wrong = |what: String| format!("state \"{name}\": {what}");
        let think = match (state.think, state.every) {
            (Some(mean), None) => Think::Mean(mean.0),
            (None, Some(every)) => Think::Constant(every.0),
            _ => return Err(wrong("either think or every".into())),
        };
        if think.mean().is_zero() {
            return Err(wrong("a time of 0 would never let another user come".into()));
        }
        let mut next = Vec::new();
        for (name, weight) in &state.next {
            within("a weight", *weight, 1e-9, 1e9).map_err(wrong)?;
            next.push((place(name).map_err(wrong)?, *weight));
        }
        if next.is_empty() {
            return Err(wrong("next is empty".into()));
        }
        states.push(State { action: action(state).map_err(wrong)?, think, next });
    }
    // The first state is where a walk begins.
    states.swap(0, start);
    let moved = |at: usize| {
        if at == 0 {
            start
        } else if at == start {
            0
        } else {
            at
        }
    };
    states.iter_mut().flat_map(|state| &mut state.next).for_each(|(at, _)| *at = moved(*at));
    Ok(Script { states })
}

fn action(state: &GroupState) -> Result<Action, String> {
    let plain = match state.action.as_str() {
        "noop" => Some(Action::Noop),
        "select" => Some(Action::Select),
        "list" => Some(Action::List),
        "sync" => Some(Action::Sync),
        "flags" => Some(Action::Flags),
        "headers" => Some(Action::Headers),
        "preview" => Some(Action::Preview),
        "body" => Some(Action::Body),
        "seen" => Some(Action::Seen),
        "flag" => Some(Action::Flag),
        "delete" => Some(Action::Delete),
        "idle" => Some(Action::Idle),
        "logout" => Some(Action::Logout),
        _ => None,
    };
    if let Some(action) = plain {
        return match (&state.to, &state.what) {
            (None, None) => Ok(action),
            _ => Err(format!("{} has no to and no what", state.action)),
        };
    }
    let odd =
        |text: &str| text.is_empty() || text.bytes().any(|octet| octet.is_ascii_control() || b"{\"\\".contains(&octet));
    let named = |make: fn(Rc<str>) -> Action| match &state.to {
        Some(to) if !odd(to) => Ok(make(to.as_str().into())),
        _ => Err(format!("{} needs to, the name of a mailbox", state.action)),
    };
    match state.action.as_str() {
        "append" => named(Action::Append),
        "copy" => named(Action::Copy),
        "move" => named(Action::Move),
        "status" => named(Action::Status),
        "search" => match &state.what {
            Some(what) if !what.is_empty() && !what.bytes().any(|octet| octet.is_ascii_control() || octet == b'{') => {
                Ok(Action::Search(what.as_str().into()))
            }
            _ => Err("search needs what, a criterion on one line and without literals".into()),
        },
        other => Err(format!("\"{other}\" is nothing that can be done")),
    }
}

/// The mailboxes that a script names and that must be there, without INBOX.
pub fn mailboxes(script: &Script<Action>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for state in &script.states {
        if let Action::Append(name) | Action::Copy(name) | Action::Move(name) | Action::Status(name) = &state.action
            && !name.eq_ignore_ascii_case("INBOX")
            && !names.iter().any(|known| known == &**name)
        {
            names.push(name.to_string());
        }
    }
    names
}

#[cfg(test)]
#[path = "scenario_tests.rs"]
mod tests;
