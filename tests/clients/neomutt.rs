//! neomutt in a terminal (tmux): reads, copies, saves to a new mailbox, flags, sends and quits, by its keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::programs::run;
use crate::support::message::numbered;
use crate::support::{Imap, Server, USER, eventually};

/// How long one reaction may take to show.
const REACTION_TIME_MAX: Duration = Duration::from_secs(30);

/// A tmux server of its own with one window.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    fn open(folder: &Path, command: &str) -> Terminal {
        let terminal = Terminal { socket: folder.join("tmux") };
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "140", "-y", "40", command]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let socket = self.socket.display().to_string();
        let output = Command::new("tmux").args(["-u", "-S", &socket]).args(arguments).output().expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Presses keys, as tmux names them.
    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen shows `text`.
    fn wait_for(&self, text: &str) {
        let mut last = String::new();
        let begin = std::time::Instant::now();
        while begin.elapsed() < REACTION_TIME_MAX {
            last = self.screen();
            if last.contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{text:?} did not show:\n{last}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Waits until `mailbox` has so many messages.
fn wait_for_messages(imap: &mut Imap, mailbox: &str, count: u32) {
    eventually(&format!("{count} messages in {mailbox}"), REACTION_TIME_MAX, || {
        let reply = imap.command(&format!("EXAMINE {mailbox}"));
        (reply.status == "OK" && reply.exists() == Some(count)).then_some(())
    });
}

fn settings(server: &Server, folder: &Path) -> String {
    let editor = folder.join("editor");
    fs::write(&editor, "#!/bin/sh\nprintf 'Hallo aus neomutt\\n.\\nzweite Zeile\\n' > \"$1\"\n")
        .expect("a scratch file");
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o700)).expect("its mode");
    let text = format!(
        "set folder = \"imaps://127.0.0.1:{imaps}/\"\nset imap_user = \"{USER}\"\nset imap_pass = \"{password}\"\n\
         set smtp_url = \"smtps://a%40localhost@127.0.0.1:{smtps}/\"\nset smtp_pass = \"{password}\"\n\
         set spoolfile = \"+INBOX\"\nset record = \"+Sent\"\nset postponed = \"+Drafts\"\nset trash = \"\"\n\
         set certificate_file = \"{certificate}\"\nset ssl_verify_host = no\nset ssl_force_tls = yes\n\
         set from = \"{USER}\"\nset realname = \"Anna\"\nset use_envelope_from = yes\nset hostname = \"localhost\"\n\
         set editor = \"{editor}\"\nset confirmappend = no\nset confirmcreate = no\nset delete = yes\nset quit = yes\nset move = no\n\
         set sort = date\nset fast_reply = yes\nset abort_unmodified = no\nset wait_key = no\nset header_cache = \"\"\n\
         set mail_check = 1\nset timeout = 1\n",
        imaps = server.port(993),
        smtps = server.port(465),
        password = server.password(),
        certificate = server.data().join("tls/cert.pem").display(),
        editor = editor.display(),
    );
    let file = folder.join("neomuttrc");
    fs::write(&file, text).expect("a scratch file");
    file.display().to_string()
}

#[test]
fn neomutt_reads_sorts_and_sends() {
    run("neomutt", &["-v"]);
    run("tmux", &["-V"]);
    let mut server = Server::start("neomutt");
    let mut imap = server.login();
    for number in 0..4 {
        imap.append("INBOX", &numbered(&format!("neomutt-{number}"), 5));
    }
    let folder = server.scratch().join("neomutt");
    fs::create_dir_all(&folder).expect("a scratch folder");
    let file = settings(&server, &folder);
    let command = format!("HOME={} TERM=screen-256color neomutt -n -F {file}", folder.display());
    let terminal = Terminal::open(&folder, &command);

    terminal.wait_for("neomutt-3");
    terminal.press(&["1", "Enter", "Enter"]);
    terminal.wait_for("line 0 of neomutt-0");
    terminal.press(&["i"]);
    terminal.wait_for("neomutt-3");
    terminal.press(&["C"]);
    terminal.wait_for("Copy to mailbox");
    terminal.press(&["C-u", "=Archive", "Enter"]);
    wait_for_messages(&mut imap, "Archive", 1);
    terminal.press(&["2", "Enter", "s"]);
    terminal.wait_for("Save to mailbox");
    terminal.press(&["C-u", "=lists/2026", "Enter"]);
    wait_for_messages(&mut imap, "lists/2026", 1);
    terminal.press(&["4", "Enter", "F", "$"]);
    wait_for_messages(&mut imap, "INBOX", 3);

    // New mail shows while it waits.
    imap.append("INBOX", &numbered("neomutt-new", 5));
    terminal.wait_for("neomutt-new");

    terminal.press(&["m"]);
    terminal.wait_for("To:");
    terminal.press(&["b@localhost", "Enter"]);
    terminal.wait_for("Subject:");
    terminal.press(&["gesendet mit neomutt", "Enter"]);
    terminal.wait_for("y:Send");
    terminal.press(&["y"]);
    wait_for_messages(&mut imap, "Sent", 1);
    terminal.press(&["q"]);
    eventually("neomutt's end", REACTION_TIME_MAX, || terminal.screen().is_empty().then_some(()));
    drop(imap);

    server.restart();
    let mut imap = server.select("INBOX");
    let flags: Vec<Vec<String>> = imap.ok("FETCH 1:* (FLAGS)").fetched().iter().map(|one| one.flags()).collect();
    assert_eq!(flags.len(), 4);
    assert!(flags[0].iter().any(|flag| flag == r"\Seen"), "the one that was read: {flags:?}");
    assert!(flags[2].iter().any(|flag| flag == r"\Flagged"), "the one that was flagged: {flags:?}");
    let mut reader = server.imap();
    reader.login("b@localhost", &server.password_of("b@localhost"));
    reader.ok("SELECT INBOX");
    let text = String::from_utf8(reader.text(1)).expect("UTF-8");
    assert!(text.contains("Subject: gesendet mit neomutt\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nHallo aus neomutt\r\n.\r\nzweite Zeile\r\n"), "{text}");
}
