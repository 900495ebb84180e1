//! Scripts as they are written: README.md beside this file describes the language.
//!
//! All that can be wrong with a script is found here, before a server sees it: a line that is none, a session that never
//! connects or is never answered, a placeholder that nobody made known, a head that doesn't say what is shown.

use std::collections::HashSet;

use crate::pattern::Pattern;

/// What the runner makes known before the first line.
pub const GIVEN_NAMES: [&str; 6] = ["user", "password", "plain", "other", "other-password", "space"];
/// Services that a session may connect to, with their standard ports; those of the last kind speak TLS at once.
pub const SERVICES: [(&str, u16, bool); 8] = [
    ("imap", 143, false),
    ("pop3", 110, false),
    ("smtp", 25, false),
    ("submission", 587, false),
    ("lmtp", 24, false),
    ("imaps", 993, true),
    ("pop3s", 995, true),
    ("submissions", 465, true),
];

/// How a session is called: `1` for `C1:` and `S1:`, nothing for `C:` and `S:`.
pub type Label = String;

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// `given: 3 messages in INBOX`.
    Given { messages: u32, mailbox: String },
    /// `C -> imap`: connects; with `login` or `select INBOX` behind it, goes on to there.
    Connect { service: usize, login: bool, select: Option<String> },
    /// `C -> tls`: the handshake of STARTTLS or STLS.
    StartTls,
    /// `C -> close`: the client is gone.
    Close,
    /// `C: ...`: one line is sent.
    Send(Pattern),
    /// `S: ...`: exactly this line comes next.
    Expect(Pattern),
    /// `S*: ...`, a run of them: these lines come next, in any order.
    ExpectAll(Vec<(usize, Pattern)>),
    /// `S: <nothing>`: nothing comes for a while, and the server doesn't close.
    ExpectNothing,
    /// `S: <closed>`: the server closes the connection.
    ExpectClosed,
}

/// A line of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its number in the file.
    pub line: usize,
    pub label: Label,
    pub act: Act,
}

/// A script that makes sense.
#[derive(Clone, Debug)]
pub struct Script {
    pub steps: Vec<Step>,
}

impl Script {
    /// Reads a file. The error names its line.
    pub fn read(text: &str) -> Result<Script, String> {
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        if !head.iter().any(|line| line.contains("RFC ") || line.contains("R-")) {
            return Err("line 1: the head doesn't say which section of which RFC it shows".to_owned());
        }
        let mut steps: Vec<Step> = Vec::new();
        for (at, written) in text.lines().enumerate() {
            let line = at + 1;
            if written.is_empty() || written.starts_with('#') {
                continue;
            }
            let (label, act) = read_line(line, written).map_err(|error| format!("line {line}: {error}"))?;
            if let (Some(Step { label: before, act: Act::ExpectAll(lines), .. }), Act::ExpectAll(more)) =
                (steps.last_mut(), &act)
                && *before == label
                // A blank line or a comment ends the run.
                && lines.last().is_some_and(|(last, _)| *last + 1 == line)
            {
                lines.extend(more.iter().cloned());
                continue;
            }
            steps.push(Step { line, label, act });
        }
        check(&steps)?;
        Ok(Script { steps })
    }

    /// Whether a line refers to `name`.
    pub fn refers_to(&self, name: &str) -> bool {
        self.steps
            .iter()
            .flat_map(|step| patterns(&step.act))
            .any(|(_, line)| line.refers_to().any(|known| known == name))
    }
}

fn read_line(line: usize, written: &str) -> Result<(Label, Act), String> {
    if let Some(given) = written.strip_prefix("given: ") {
        return Ok((Label::new(), read_given(given)?));
    }
    let digits = |text: &str| text.bytes().skip(1).take_while(u8::is_ascii_digit).count() + 1;
    let (who, rest) = written.split_at(digits(written).min(written.len()));
    let (side, label) = who.split_at(1.min(who.len()));
    let label = label.to_owned();
    let said = |after: &str| match after.strip_prefix(' ') {
        Some(said) => Ok(said.to_owned()),
        None if after.is_empty() => Ok(String::new()),
        None => Err("a space follows the colon".to_owned()),
    };
    let act = match side {
        "C" if rest.starts_with(" -> ") => read_connect(&rest[4..])?,
        "C" if rest.starts_with(':') => {
            let pattern = Pattern::read(&said(&rest[1..])?)?;
            if !pattern.is_exact() {
                return Err("a client's line says exactly one thing".to_owned());
            }
            Act::Send(pattern)
        }
        "S" if rest.starts_with("*:") => Act::ExpectAll(vec![(line, Pattern::read(&said(&rest[2..])?)?)]),
        "S" if rest.starts_with(':') => match said(&rest[1..])?.as_str() {
            "<nothing>" => Act::ExpectNothing,
            "<closed>" => Act::ExpectClosed,
            text => Act::Expect(Pattern::read(text)?),
        },
        _ => return Err(format!("neither given:, C:, S:, S*: nor C -> : {written:?}")),
    };
    Ok((label, act))
}

fn read_given(given: &str) -> Result<Act, String> {
    let read = || {
        let (count, mailbox) = given.split_once(" messages in ").or_else(|| given.split_once(" message in "))?;
        Some(Act::Given { messages: count.parse().ok()?, mailbox: mailbox.to_owned() })
    };
    read().ok_or_else(|| format!("given: 3 messages in INBOX, not {given:?}"))
}

fn read_connect(rest: &str) -> Result<Act, String> {
    let (word, more) = rest.split_once(' ').unwrap_or((rest, ""));
    match (word, more) {
        ("tls", "") => return Ok(Act::StartTls),
        ("close", "") => return Ok(Act::Close),
        _ => {}
    }
    let service = SERVICES.iter().position(|(name, ..)| *name == word).ok_or_else(|| format!("no service {word:?}"))?;
    let select = more.strip_prefix("select ").map(str::to_owned);
    if select.is_some() && !word.starts_with("imap") || word == "lmtp" && more == "login" {
        return Err(format!("{word} has no {more}"));
    }
    match more {
        "" | "login" => Ok(Act::Connect { service, login: more == "login", select: None }),
        _ if select.is_some() => Ok(Act::Connect { service, login: true, select }),
        _ => Err(format!("login or select MAILBOX, not {more:?}")),
    }
}

fn patterns(act: &Act) -> Vec<(usize, &Pattern)> {
    match act {
        Act::Send(pattern) | Act::Expect(pattern) => vec![(0, pattern)],
        Act::ExpectAll(lines) => lines.iter().map(|(line, pattern)| (*line, pattern)).collect(),
        _ => Vec::new(),
    }
}

/// Sessions connect before they speak, are answered, and name what is known.
fn check(steps: &[Step]) -> Result<(), String> {
    let mut connected = HashSet::new();
    let mut answered = false;
    let mut known: HashSet<&str> = GIVEN_NAMES.into_iter().collect();
    for Step { line, label, act } in steps {
        match act {
            Act::Given { .. } => continue,
            Act::Connect { .. } => {
                if !connected.insert(label) {
                    return Err(format!("line {line}: C{label} is connected already"));
                }
            }
            _ if !connected.contains(label) => return Err(format!("line {line}: C{label} is not connected")),
            Act::Close => drop(connected.remove(label)),
            Act::Expect(_) | Act::ExpectAll(_) | Act::ExpectNothing | Act::ExpectClosed => answered = true,
            Act::StartTls | Act::Send(_) => {}
        }
        for (_, pattern) in patterns(act) {
            known.extend(pattern.makes_known());
            if let Some(name) = pattern.refers_to().find(|name| !known.contains(name)) {
                return Err(format!("line {line}: nothing made <{name}> known"));
            }
        }
    }
    match (steps.iter().any(|step| matches!(step.act, Act::Connect { .. })), answered) {
        (false, _) => Err("no session ever connects".to_owned()),
        (_, false) => Err("no line of the server is expected".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        Script::read(&format!("# RFC 3501 §6.1.2\n{body}")).expect_err("a script that makes no sense")
    }

    #[test]
    fn a_script_is_read() {
        let text = "# RFC 3501 §7.4.1\n\ngiven: 3 messages in INBOX\nC1 -> imap select INBOX\nC2 -> imaps\n# then\n\
            S2: * OK <any>\nC1: a NOOP\nS1*: * 1 EXISTS\nS1*: * 1 RECENT\n\nS1*: * 2 EXISTS\nS1: <nothing>\nC2 -> close\n";
        let steps = Script::read(text).expect("a script").steps;
        let lines: Vec<(usize, &str)> = steps.iter().map(|step| (step.line, step.label.as_str())).collect();
        assert_eq!(lines, [(3, ""), (4, "1"), (5, "2"), (7, "2"), (8, "1"), (9, "1"), (12, "1"), (13, "1"), (14, "2")]);
        assert_eq!(steps[0].act, Act::Given { messages: 3, mailbox: "INBOX".to_owned() });
        assert_eq!(steps[1].act, Act::Connect { service: 0, login: true, select: Some("INBOX".to_owned()) });
        assert!(matches!(&steps[5].act, Act::ExpectAll(lines) if lines.len() == 2));
        assert_eq!(steps[8].act, Act::Close);
    }

    #[test]
    fn what_makes_no_sense_is_found() {
        assert!(Script::read("C -> imap\nS: * OK <any>\n").unwrap_err().contains("head"));
        assert!(error("").contains("connects"));
        assert!(error("C -> imap\nC: a NOOP\n").contains("no line of the server"));
        for (body, line, says) in [
            ("C: a NOOP\nS: a OK <any>\n", 2, "not connected"),
            ("C -> imap\nC -> imap\n", 3, "connected already"),
            ("C -> imap\nS1: * OK <any>\n", 3, "C1 is not connected"),
            ("C -> imap\nC -> close\nS: x\n", 4, "not connected"),
            ("C -> imap\nC: a <any>\n", 3, "exactly one thing"),
            ("C -> imap\nS: <validity>\n", 3, "<validity>"),
            ("C -> imap\nS: <x=digits>\n", 3, "no kind"),
            ("C -> nntp\n", 2, "no service"),
            ("C -> pop3 select INBOX\n", 2, "has no"),
            ("C -> imap logon\n", 2, "login or select"),
            ("C -> imap\nS:* OK\n", 3, "space"),
            ("C -> imap\nX: y\n", 3, "neither"),
            ("C -> imap\n  S: y\n", 3, "neither"),
            ("given: messages\n", 2, "given"),
        ] {
            let error = error(body);
            assert!(error.starts_with(&format!("line {line}: ")) && error.contains(says), "{body:?}: {error}");
        }
    }
}
