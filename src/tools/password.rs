//! Where a tool's password comes from: standard input, a terminal that doesn't show it, or chance.
//!
//! Invariant: a terminal is left as it was found, also when the typing is given up with Ctrl-C. The echo is turned off
//! by stty(1): the terminal's own interface can't be called without `unsafe`.

use std::io::{self, IsTerminal, Read, Write};
use std::process::{Command, Stdio};

use super::Failure;
use crate::directory::Secret;
use crate::directory::credential::{random, readable_password};
use crate::directory::secret::wipe;
use crate::limits::PASSWORD_BYTES_MAX;

/// A password, and whether it was made up here and has to be shown.
#[derive(Debug)]
pub struct Chosen {
    pub password: Secret,
    pub made_up: bool,
}

/// The password for a command. `make_up`: whether one is made up where nobody can be asked.
pub fn choose(from_stdin: bool, make_up: bool) -> Result<Chosen, Failure> {
    let input = io::stdin();
    if from_stdin {
        let password = line_of(input.lock())?;
        return Ok(Chosen { password, made_up: false });
    }
    if input.is_terminal() {
        return Ok(Chosen { password: ask_twice()?, made_up: false });
    }
    if !make_up {
        let text = "standard input is no terminal to ask for a password on; use --password-stdin";
        return Err(Failure::Usage(text.to_string()));
    }
    let octets = random().ok_or_else(|| Failure::Other("the system gave no random numbers".to_string()))?;
    Ok(Chosen { password: Secret::from(readable_password(octets)), made_up: true })
}

// All of the input is the password, but for the end of its one line.
fn line_of(input: impl Read) -> Result<Secret, Failure> {
    // One octet over the bound and a CRLF: enough to know that it is too long. It never grows.
    let mut octets = Vec::with_capacity(PASSWORD_BYTES_MAX + 4);
    let read = input.take(PASSWORD_BYTES_MAX as u64 + 3).read_to_end(&mut octets);
    if let Err(error) = read {
        wipe(&mut octets);
        return Err(Failure::Io("read the password from standard input", error));
    }
    if octets.ends_with(b"\n") {
        octets.pop();
        if octets.ends_with(b"\r") {
            octets.pop();
        }
    }
    if octets.contains(&b'\n') {
        wipe(&mut octets);
        return Err(Failure::Other("the password on standard input is more than one line".to_string()));
    }
    Ok(Secret::new(octets))
}

fn ask_twice() -> Result<Secret, Failure> {
    let terminal = Silent::new()?;
    let first = terminal.ask("Password: ")?;
    let second = terminal.ask("Again: ")?;
    if first != second {
        return Err(Failure::Other("the two passwords are not the same".to_string()));
    }
    Ok(first)
}

/// The terminal on standard input, not echoing and giving each key at once; as before when it is dropped.
struct Silent {
    before: String,
}

impl Silent {
    fn new() -> Result<Silent, Failure> {
        let before = stty(&["-g"])?;
        let silent = Silent { before: before.trim().to_string() };
        // Signals off as well: Ctrl-C comes as a key, or it would leave a terminal that doesn't echo.
        stty(&["-echo", "-icanon", "-isig", "min", "1", "time", "0"])?;
        Ok(silent)
    }

    fn ask(&self, prompt: &str) -> Result<Secret, Failure> {
        let mut error = io::stderr().lock();
        let _ = error.write_all(prompt.as_bytes()).and_then(|()| error.flush());
        let typed = typed(io::stdin().lock());
        let _ = error.write_all(b"\n");
        typed
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = stty(&[&self.before]);
    }
}

fn stty(arguments: &[&str]) -> Result<String, Failure> {
    let output = Command::new("stty").args(arguments).stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(_) => Err(Failure::Other("can't turn the terminal's echo off; use --password-stdin".to_string())),
        Err(error) => Err(Failure::Io("run stty to turn the terminal's echo off (or use --password-stdin)", error)),
    }
}

// Keys up to Enter: backspace takes a character back, Ctrl-U all, Ctrl-C and Ctrl-D give up.
fn typed(mut keys: impl Read) -> Result<Secret, Failure> {
    let mut octets = Vec::with_capacity(PASSWORD_BYTES_MAX + 4);
    let mut key = [0];
    loop {
        let read = keys.read(&mut key);
        match (read, key[0]) {
            (Err(error), _) if error.kind() == io::ErrorKind::Interrupted => continue,
            (Err(error), _) => {
                wipe(&mut octets);
                return Err(Failure::Io("read the password", error));
            }
            (Ok(0), _) | (_, 3 | 4) => {
                wipe(&mut octets);
                return Err(Failure::Other("given up, nothing was changed".to_string()));
            }
            (_, b'\r' | b'\n') => return Ok(Secret::new(octets)),
            (_, 21) => wipe(&mut octets),
            (_, 8 | 127) => {
                // A character of UTF-8 ends before the last octet that doesn't continue one.
                while octets.pop().is_some_and(|octet| octet & 0xc0 == 0x80) {}
            }
            // Past the bound it is refused anyway: one octet too many is kept to tell.
            (_, octet) if octets.len() <= PASSWORD_BYTES_MAX => octets.push(octet),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_standard_input() {
        for (input, password) in [
            (&b"secret"[..], &b"secret"[..]),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b" spaces stay \n", b" spaces stay "),
            (b"\n", b""),
            (b"", b""),
        ] {
            assert_eq!(line_of(input).unwrap().as_bytes(), password);
        }
        assert!(line_of(&b"two\nlines\n"[..]).is_err());
        let long = line_of(&[b'x'; 1 << 20][..]).unwrap();
        assert_eq!(long.as_bytes().len(), PASSWORD_BYTES_MAX + 3, "too long, and no longer than it takes to know");
    }

    #[test]
    fn keys_of_a_terminal() {
        for (keys, password) in [
            (&b"secret\r"[..], "secret"),
            ("pä\u{7f}x\n".as_bytes(), "px"),
            (b"abc\x15xyz\n", "xyz"),
            (b"\x7f\x7fa\n", "a"),
        ] {
            assert_eq!(typed(keys).unwrap().as_text(), Some(password));
        }
        for keys in [&b"abc\x03"[..], b"\x04", b"abc"] {
            assert!(typed(keys).unwrap_err().to_string().starts_with("given up"));
        }
        let long = [vec![b'x'; 1 << 20], vec![b'\n']].concat();
        assert_eq!(typed(&long[..]).unwrap().as_bytes().len(), PASSWORD_BYTES_MAX + 1);
    }
}
