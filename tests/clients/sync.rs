//! Programs that keep a copy of a mailbox: mbsync (isync), offlineimap3, imapfilter.
//!
//! What is shown: every message arrives whole, changes of either side reach the other, and a run with nothing to do
//! does nothing, which is where a wrong UIDVALIDITY, APPENDUID or flag shows.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::programs::run;
use crate::support::message::numbered;
use crate::support::{Binary, Imap, Server, USER};

/// How long a whole synchronisation may take, on a machine that is busy with other tests.
const SYNC_TIME_MAX: Duration = Duration::from_secs(120);

/// How many messages the account has.
const MESSAGES: usize = 1_000;

/// Fills INBOX and two more mailboxes with [`MESSAGES`], each with its own flags. One name needs modified UTF-7.
fn fill(server: &Server) {
    let mailboxes = ["INBOX", "Projekte/Gr&APwA3w-e", "lists"];
    let mut imap = server.login();
    for mailbox in &mailboxes[1..] {
        imap.ok(&format!("CREATE {mailbox}"));
    }
    for number in 0..MESSAGES {
        let flags = ["", r"\Seen", r"\Seen \Answered", r"\Flagged"][number % 4];
        let message = numbered(&format!("sync-{number}"), number % 40);
        imap.append(&format!("{} ({flags})", mailboxes[number % 3]), &message);
    }
}

/// Every file under `folder` with its octets.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let octets = fs::read(&path).expect("a file");
                found.insert(path, octets);
            }
        }
    }
    found
}

/// The messages of a Maildir tree: those in `cur` and `new`.
fn messages(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_message =
        |path: &Path| path.parent().is_some_and(|folder| folder.ends_with("cur") || folder.ends_with("new"));
    files(folder).into_iter().filter(|(path, _)| is_message(path)).collect()
}

/// What the server holds: for each mailbox its STATUS and every message's UID, flags and size.
fn state(server: &Server) -> Vec<String> {
    let mut imap = server.login();
    let mut state = Vec::new();
    for mailbox in ["INBOX", "Projekte/Gr&APwA3w-e", "lists"] {
        imap.ok(&format!("EXAMINE {mailbox}"));
        for line in &imap.ok("UID FETCH 1:* (FLAGS RFC822.SIZE)").untagged {
            state.push(format!("{mailbox} {}", String::from_utf8_lossy(line)));
        }
        let status = imap.ok(&format!("STATUS {mailbox} (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)"));
        state.extend(status.untagged.iter().map(|line| String::from_utf8_lossy(line).into_owned()));
    }
    state
}

fn assert_mailbox_has(imap: &mut Imap, mailbox: &str, count: u32) {
    let exists = imap.ok(&format!("EXAMINE {mailbox}")).exists();
    assert_eq!(exists, Some(count), "{mailbox}");
}

/// A program that takes its time.
fn run_long(program: &str, arguments: &[&str], home: &Path) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", home);
    let (output, took) = Binary::run(command, b"", SYNC_TIME_MAX);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {}\n{text}", output.status);
    println!("{program}: {took:?}");
    text
}

/// Local octets without what the program adds and with the line ends of the wire.
fn as_sent(octets: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(octets).replace("\r\n", "\n");
    let lines =
        text.split_inclusive('\n').filter(|line| !line.starts_with("X-TUID: ") && !line.starts_with("X-OfflineIMAP: "));
    lines.collect::<String>().replace('\n', "\r\n").into_bytes()
}

/// Every message of the account is there once, octet for octet.
fn assert_all_there(local: &Path, count: usize) {
    let local = messages(local);
    assert_eq!(local.len(), count);
    let mut held: Vec<Vec<u8>> = local.values().map(|octets| as_sent(octets)).collect();
    held.sort();
    for number in 0..MESSAGES {
        let message = numbered(&format!("sync-{number}"), number % 40);
        assert!(held.binary_search(&message).is_ok(), "message {number} is not there as it was appended");
    }
}

#[test]
fn mbsync_goes_both_ways_and_then_moves_nothing() {
    run("mbsync", &["--version"]);
    let mut server = Server::start("mbsync");
    fill(&server);
    let folder = server.scratch().join("mbsync");
    let mail = folder.join("mail");
    fs::create_dir_all(&mail).expect("a scratch folder");
    let file = folder.join("mbsyncrc");
    let text = format!(
        "IMAPAccount ringpost\nHost 127.0.0.1\nPort {port}\nUser {USER}\nPass \"{password}\"\nSSLType IMAPS\n\
         CertificateFile {certificate}\nPipelineDepth 50\n\nIMAPStore far\nAccount ringpost\n\n\
         MaildirStore near\nPath {mail}/\nInbox {mail}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\nSyncState *\n",
        port = server.port(993),
        password = server.password(),
        certificate = server.data().join("tls/cert.pem").display(),
        mail = mail.display(),
    );
    fs::write(&file, text).expect("a scratch file");
    let file = file.display().to_string();
    let sync = || run_long("mbsync", &["-c", &file, "-a"], &folder);
    sync();
    assert_all_there(&mail, MESSAGES);

    // Changes here: two new messages, one with a flag, one flag, one deletion. Changes there: the same.
    let unseen = messages(&mail)
        .into_keys()
        .find(|path| !path.display().to_string().contains(":2,"))
        .or_else(|| messages(&mail).into_keys().find(|path| path.display().to_string().ends_with(":2,")));
    let unseen = unseen.expect("a message that was not read");
    let name = unseen.file_name().expect("a name").to_string_lossy().into_owned();
    let seen = unseen.parent().and_then(Path::parent).expect("a mailbox").join("cur");
    fs::rename(&unseen, seen.join(format!("{}:2,S", name.split(":2,").next().expect("a name")))).expect("renamed");
    let flagged = messages(&mail).into_keys().find(|path| path.display().to_string().ends_with(":2,F")).expect("one");
    fs::remove_file(&flagged).expect("removed");
    for (number, flags) in ["", "FS"].into_iter().enumerate() {
        let text = String::from_utf8(numbered(&format!("near-{number}"), 5)).expect("ASCII").replace("\r\n", "\n");
        fs::write(mail.join("lists/cur").join(format!("1795000000.{number}.here:2,{flags}")), text).expect("written");
    }
    let mut imap = server.select("INBOX");
    imap.append(r"INBOX (\Draft)", &numbered("far-0", 3));
    imap.ok(r"STORE 1 +FLAGS.SILENT (\Answered \Seen)");
    imap.ok(r"STORE 7 +FLAGS.SILENT (\Deleted)");
    imap.ok("EXPUNGE");
    drop(imap);
    sync();
    assert_eq!(messages(&mail).len(), MESSAGES + 1);
    let text = state(&server).join("\n");
    assert_eq!(text.matches(" FETCH ").count(), MESSAGES + 1, "as many there as here");

    for turn in ["again", "after a restart"] {
        let (near, far) = (files(&mail), state(&server));
        let said = sync();
        assert!(said.matches("+0 *0 #0").count() == 2 || !said.contains('+'), "mbsync moved something {turn}: {said}");
        let (near_now, far_now) = (files(&mail), state(&server));
        assert!(near == near_now, "a file changed {turn}");
        assert_eq!(far, far_now, "the server changed {turn}");
        server.restart();
    }
}

#[test]
fn offlineimap_copies_and_then_moves_nothing() {
    run("offlineimap", &["--version"]);
    let mut server = Server::start("offlineimap");
    fill(&server);
    let folder = server.scratch().join("offlineimap");
    let mail = folder.join("mail");
    fs::create_dir_all(&folder).expect("a scratch folder");
    let file = folder.join("offlineimaprc");
    let text = format!(
        "[general]\naccounts = a\nmetadata = {folder}/metadata\nsocktimeout = 60\n\n[Account a]\nlocalrepository = here\n\
         remoterepository = there\n\n[Repository here]\ntype = Maildir\nlocalfolders = {mail}\n\n[Repository there]\n\
         type = IMAP\nremotehost = localhost\nremoteport = {port}\nremoteuser = {USER}\nremotepass = {password}\n\
         ssl = yes\nsslcacertfile = {certificate}\nmaxconnections = 1\n",
        folder = folder.display(),
        mail = mail.display(),
        port = server.port(993),
        password = server.password(),
        certificate = server.data().join("tls/cert.pem").display(),
    );
    fs::write(&file, text).expect("a scratch file");
    let file = file.display().to_string();
    let sync = || run_long("offlineimap", &["-c", &file, "-o", "-u", "basic"], &folder);
    sync();
    assert_all_there(&mail, MESSAGES);
    // A message that is written here, and one that is removed there.
    let text = String::from_utf8(numbered("near", 5)).expect("ASCII").replace("\r\n", "\n");
    fs::write(mail.join("INBOX/new/1795000000.1.here"), text).expect("written");
    let mut imap = server.select("lists");
    imap.ok(r"STORE 1:3 +FLAGS.SILENT (\Deleted)");
    imap.ok("EXPUNGE");
    drop(imap);
    sync();
    assert_eq!(messages(&mail).len(), MESSAGES - 2);
    assert_mailbox_has(&mut server.login(), "INBOX", MESSAGES as u32 / 3 + 2);
    server.restart();
    let (near, far) = (messages(&mail), state(&server));
    sync();
    assert!(near == messages(&mail), "a message changed");
    assert_eq!(far, state(&server), "the server changed");
}

#[test]
fn imapfilter_sorts_mail() {
    run("imapfilter", &["-V"]);
    let server = Server::start("imapfilter");
    let mut imap = server.login();
    for number in 0..30 {
        let message = numbered(&format!("{}-{number}", ["invoice", "list", "other"][number % 3]), number);
        imap.append("INBOX", &message);
    }
    let folder = server.scratch().join("imapfilter");
    fs::create_dir_all(&folder).expect("a scratch folder");
    let file = folder.join("config.lua");
    let text = format!(
        "options.certificates = false\noptions.create = true\noptions.expunge = true\noptions.timeout = 30\n\
         account = IMAP {{ server = '127.0.0.1', port = {port}, username = '{USER}', password = '{password}', ssl = 'auto' }}\n\
         invoices = account.INBOX:contain_subject('invoice')\n\
         invoices:move_messages(account['Rechnungen/2026'])\n\
         lists = account.INBOX:contain_from('sender@client.example') * account.INBOX:contain_subject('list')\n\
         lists:copy_messages(account['lists'])\n\
         lists:mark_seen();\n\
         (account.INBOX:contain_subject('other') * account.INBOX:is_smaller(700)):mark_flagged()\n\
         print(#invoices, #lists, #account.INBOX:is_seen(), #account.INBOX:is_flagged() > 0)\n\
         mailboxes, folders = account:list_all()\n\
         print(table.concat(mailboxes, ' '))\n",
        port = server.port(993),
        password = server.password(),
    );
    fs::write(&file, text).expect("a scratch file");
    let home = folder.display().to_string();
    let certificate = server.data().join("tls/cert.pem").display().to_string();
    let said = run_long("imapfilter", &["-c", &file.display().to_string(), "-t", &certificate], Path::new(&home));
    assert!(said.contains("10\t10\t10\ttrue"), "{said}");
    assert!(said.contains("Rechnungen/2026"), "{said}");
    for (mailbox, count) in [("INBOX", 20), ("Rechnungen/2026", 10), ("lists", 10)] {
        assert_mailbox_has(&mut imap, mailbox, count);
    }
}
