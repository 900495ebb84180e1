//! Tests of check and repair over a disk in memory: two accounts with everything that a store has, and every kind of damage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::memory_disk::{MemoryDisk, Random};
use super::super::tests::{SEGMENT_BYTES, World, block_on, with_segments};
use super::super::*;
use super::*;
use crate::mime;

const ONE: AccountId = AccountId(1);
const TWO: AccountId = AccountId(2);

/// A real message, so that what is made anew of it is what was there.
fn mail(number: u64, bytes: usize) -> NewMessage {
    let mut raw = format!("Subject: number {number}\r\nFrom: a@b\r\nMessage-ID: <{number}@test>\r\n\r\n").into_bytes();
    let mut random = Random::new(number + 1);
    while raw.len() < bytes {
        raw.extend_from_slice(format!("{:016x} {number}\r\n", random.next()).as_bytes());
    }
    NewMessage {
        structure: Arc::new(mime::structure(&raw)),
        body: Body::from_vec(raw),
        internal_date: Date { seconds: 1_000_000 + number as i64, offset_minutes: 60 },
        saved_at: 2_000_000 + number as i64,
        flags: Flags::NONE,
        keywords: Vec::new(),
        delivery: Some(DeliveryEnvelope { return_path: "a@b".to_owned(), recipients: vec![format!("{number}@c")] }),
    }
}

const LONG: usize = crate::limits::INLINE_BODY_BYTES_MAX + 9000;

/// Three sealed files: messages, one in a body file of its own and one that both share, flags, expunges, copies.
async fn fill(store: Store) {
    let (one, two) = (store.account(ONE).await.unwrap(), store.account(TWO).await.unwrap());
    let (inbox, other) = (one.mailbox("INBOX").unwrap(), two.mailbox("INBOX").unwrap());
    for number in 0..8 {
        inbox.append(mail(number, 700)).await.unwrap();
    }
    inbox.append(mail(50, 150_000)).await.unwrap();
    other.append(mail(100, 900)).await.unwrap();
    let work = one.create("Work").await.unwrap();
    store.seal_all().await.unwrap();
    inbox.append(mail(8, 5000)).await.unwrap();
    inbox.append(mail(60, LONG)).await.unwrap();
    let view = inbox.view(false);
    view.change_flags(&[2..=3], FlagOp::Add, Flags::SEEN, &["$Work".to_owned()]).await.unwrap();
    view.copy(&[1..=2], &work).await.unwrap();
    view.expunge(&[5..=5], false).await.unwrap();
    other.append(mail(101, 900)).await.unwrap();
    let both = store.append_to_all(&[(inbox.clone(), mail(70, 80_000)), (other.clone(), mail(70, 80_000))]).await;
    both.into_iter().for_each(|result| result.unwrap());
    store.seal_all().await.unwrap();
    for number in 10..13 {
        inbox.append(mail(number, 700)).await.unwrap();
    }
    // The same as one that is sealed, elsewhere.
    other.append(mail(3, 700)).await.unwrap();
    store.seal_all().await.unwrap();
}

/// What no file has yet.
async fn go_on(store: Store) {
    let (one, two) = (store.account(ONE).await.unwrap(), store.account(TWO).await.unwrap());
    let (inbox, other, work) =
        (one.mailbox("INBOX").unwrap(), two.mailbox("INBOX").unwrap(), one.mailbox("Work").unwrap());
    inbox.append(mail(20, 700)).await.unwrap();
    inbox.append(mail(61, LONG)).await.unwrap();
    work.append(mail(21, 700)).await.unwrap();
    inbox.view(false).change_flags(&[1..=1], FlagOp::Add, Flags::FLAGGED, &[]).await.unwrap();
    other.append(mail(102, 900)).await.unwrap();
    inbox.append(mail(22, 700)).await.unwrap();
}

fn filled() -> MemoryDisk {
    tiers::SCALE.set(512);
    let disk = MemoryDisk::default();
    with_segments(&disk, 1, 2 << 20, |mut stores| fill(stores.remove(0))).unwrap();
    with_segments(&disk, 1, 2 << 20, |mut stores| go_on(stores.remove(0))).unwrap();
    block_on(disk.medium(SEGMENT_BYTES).logs.forget(2)).unwrap();
    disk
}

/// The same disk once more.
fn copy(disk: &MemoryDisk) -> MemoryDisk {
    disk.crash(0)
}

/// What is known of a message: flags and keywords, and the message or that it can't be read.
type Shown = (u16, u64, Result<(Vec<u8>, Vec<u8>, String, i64), String>);
/// By account and mailbox: UIDVALIDITY, UIDNEXT, messages by UID.
type Dump = BTreeMap<(u64, String), (u32, u32, BTreeMap<u32, Shown>)>;

fn shown(view: &View, seq: u32) -> Shown {
    let entry = view.entry(seq).unwrap();
    let read = || -> Result<(Vec<u8>, Vec<u8>, String, i64), Error> {
        let message = view.message(seq)?.unwrap();
        let text = message.text()?.to_owned();
        assert_eq!(message.size(), message.raw()?.len() as u64);
        Ok((message.raw()?.to_vec(), message.envelope().to_vec(), text, message.internal_date().seconds))
    };
    (entry.flags.0, entry.keywords, read().map_err(|error| error.to_string()))
}

/// Opens the store on a copy of the disk, and says what is in it; an account that can't be opened is not there.
fn dump(disk: &MemoryDisk) -> Result<Dump, Error> {
    let opened = with_segments(&copy(disk), 1, 2 << 20, async |stores: Vec<Store>| {
        let mut dump = Dump::new();
        for id in [ONE, TWO] {
            let account = stores[0].account(id).await?;
            for mailbox in account.mailboxes() {
                let view = mailbox.view(true);
                let messages = (1..=view.exists()).map(|seq| (view.uid_of(seq).unwrap(), shown(&view, seq)));
                let kept = (mailbox.uid_validity().0, mailbox.uid_next(), messages.collect());
                dump.insert((id.0, mailbox.name().to_string()), kept);
            }
        }
        Ok(dump)
    });
    opened?.0
}

fn names() -> HashMap<AccountId, String> {
    HashMap::from([(ONE, "one@test".to_owned()), (TWO, "two@test".to_owned())])
}

fn checked(disk: &MemoryDisk) -> Report {
    let names = names();
    block_on(check(disk, Job { names: &names, only: None }, &mut |_| ())).unwrap()
}

fn mended(disk: &MemoryDisk) -> Result<Vec<String>, Error> {
    let names = names();
    block_on(repair(disk, Job { names: &names, only: None }, Secret([9; 32]), &mut |_| ()))
        .map(|repaired| repaired.done)
}

/// What is damaged or lost.
fn damage(report: &Report) -> Vec<&Finding> {
    report.findings.iter().filter(|finding| finding.grade != Grade::Harmless).collect()
}

/// The sealed files of an account, oldest first, then the body files.
fn files(disk: &MemoryDisk, account: AccountId) -> (Vec<String>, Vec<String>) {
    let folder = account_folder(account);
    let manifest = block_on(load::read_manifest(&*disk.medium(SEGMENT_BYTES).segments, account)).unwrap().unwrap();
    let named: Vec<String> = manifest.files.iter().map(|(name, _)| format!("{folder}/{name}")).collect();
    let paths = disk.paths().into_iter();
    let bodies =
        paths.filter(|path| path.starts_with(&folder) && path.len() == named[0].len() && !named.contains(path));
    let bodies = bodies.collect();
    (named, bodies)
}

fn manifest_path(account: AccountId) -> String {
    format!("{}/MANIFEST", account_folder(account))
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.paths().into_iter().filter(|path| path.starts_with("log/0") && !path.contains(".corrupt")).collect()
}

/// Repairs, and sees that another repair finds nothing to do and that nothing is claimed that isn't so.
fn mend(disk: &MemoryDisk) -> Vec<String> {
    let done = mended(disk).unwrap();
    let after = checked(disk);
    let left: Vec<&Finding> = damage(&after);
    assert!(left.iter().all(|finding| finding.grade == Grade::Lost), "{done:#?}\nleft: {left:#?}");
    let again = mended(disk).unwrap();
    assert!(again.is_empty(), "a second time: {again:?}\nthe first: {done:?}");
    done
}

#[test]
fn clean_is_clean() {
    let disk = filled();
    let before = dump(&disk).unwrap();
    assert!(before.values().all(|(_, _, messages)| messages.values().all(|message| message.2.is_ok())));
    assert_eq!(before[&(1, "INBOX".to_owned())].2.len(), 17);
    let (files, bodies) = files(&disk, ONE);
    assert_eq!((files.len(), bodies.len()), (3, 3));
    let operations = disk.operations();
    let report = checked(&disk);
    assert_eq!(report.findings, []);
    assert_eq!((report.looked.accounts, report.looked.accounts_in_all), (2, 2));
    assert!(report.looked.octets > 1_000_000);
    assert_eq!(disk.operations(), operations, "a check changes nothing");
    assert_eq!(mended(&disk).unwrap(), [""; 0]);
    assert_eq!(disk.operations(), operations + u64::from(disk.operations() > operations), "nor does a repair");
    assert_eq!(dump(&disk).unwrap(), before);
}

/// One finding that is no harmless one, with these words, for that account.
fn found<'a>(report: &'a Report, path: &str, words: &str) -> &'a Finding {
    let damage = damage(report);
    assert_eq!(damage.len(), 1, "{damage:#?}");
    assert_eq!(damage[0].file, path);
    let said = format!("{} | {} | {}", damage[0].what, damage[0].means, damage[0].cure);
    assert!(said.contains(words), "{said}");
    damage[0]
}

#[test]
fn a_wrong_bit_in_any_file_is_put_right() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (files, bodies) = files(&whole, ONE);
    for path in files.iter().chain(&bodies) {
        let length = whole.bytes(path).len();
        for at in [0, 20, 70, length / 2, length - 200, length - 66, length - 30] {
            let disk = copy(&whole);
            disk.damage(path, |bytes| bytes[at] ^= 4);
            let report = checked(&disk);
            // A body file that both share is damaged for both.
            let ones: Vec<&Finding> = damage(&report).into_iter().filter(|it| it.account == Some(ONE)).collect();
            assert_eq!((ones.len(), &ones[0].file), (1, path));
            assert!(ones[0].means.contains("one@test") && ones[0].cure.contains("octet for octet"), "{ones:?}");
            mend(&disk);
            assert_eq!(dump(&disk).unwrap(), before, "{path} at {at}");
            assert_eq!(disk.bytes(path), whole.bytes(path));
            assert_ne!(disk.bytes(&format!("{path}.corrupt")), whole.bytes(path));
        }
    }
}

/// A stretch of zeros in a file.
fn wipe(disk: &MemoryDisk, path: &str, at: usize, octets: usize) {
    disk.damage(path, |bytes| bytes[at..at + octets].fill(0));
}

/// Where a text lies in a file.
fn find(disk: &MemoryDisk, path: &str, text: &str) -> usize {
    memchr::memmem::find(&disk.bytes(path), text.as_bytes()).unwrap()
}

#[test]
fn a_wiped_message_is_lost_alone_and_keeps_its_uid() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (files, _) = files(&whole, ONE);
    let disk = copy(&whole);
    let at = find(&disk, &files[0], "Message-ID: <6@test>");
    wipe(&disk, &files[0], at, 300);
    let report = checked(&disk);
    let found = found(&report, &files[0], "INBOX UID 7 \"number 6\"");
    // A block holds the other's text.
    assert!(found.cure.contains("1 message will be looked for"), "{}", found.cure);
    mend(&disk);
    let mut after = dump(&disk).unwrap();
    let inbox = (1, "INBOX".to_owned());
    let lost = after.get_mut(&inbox).unwrap().2.remove(&7).unwrap();
    assert!(lost.2.is_err());
    let mut expected = before.clone();
    expected.get_mut(&inbox).unwrap().2.remove(&7);
    assert_eq!(after, expected);
    let report = checked(&disk);
    assert_eq!(damage(&report).len(), 1);
    assert!(damage(&report)[0].means.contains("UID 7 \"number 6\""), "{:?}", damage(&report));
}

/// All of a small account is in one block: what is wrong with a message says nothing of mailboxes and the others.
#[test]
fn a_wiped_message_of_a_small_account_is_lost_alone() {
    let disk = filled();
    let before = dump(&disk).unwrap();
    let path = files(&disk, TWO).0.remove(0);
    assert!(disk.bytes(&path).len() < crate::limits::SEALED_BLOCK_BYTES);
    // What is last is the message itself.
    let at = memchr::memmem::rfind(&disk.bytes(&path), b" 100\r\n").unwrap();
    wipe(&disk, &path, at - 300, 200);
    mend(&disk);
    let after = dump(&disk).unwrap();
    assert!(after.keys().eq(before.keys()), "{:?}", after.keys());
    let changed: Vec<(&(u64, String), &u32)> = before
        .iter()
        .flat_map(|(name, (_, _, messages))| messages.keys().map(move |uid| (name, uid)))
        .filter(|(name, uid)| after[*name].2.get(uid) != before[*name].2.get(uid))
        .collect();
    assert_eq!(changed, [(&(2, "INBOX".to_owned()), &1)]);
    assert!(after[&(2, "INBOX".to_owned())].2[&1].2.is_err());
}

#[test]
fn a_wiped_message_that_is_elsewhere_is_had_from_there() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (files, _) = files(&whole, ONE);
    let disk = copy(&whole);
    let at = find(&disk, &files[0], "Message-ID: <3@test>");
    wipe(&disk, &files[0], at, 200);
    assert_eq!(damage(&checked(&disk)).len(), 1);
    mend(&disk);
    assert_eq!(dump(&disk).unwrap(), before);
    assert!(checked(&disk).is_clean());
}

/// Records, details and texts follow from the message.
#[test]
fn what_follows_from_a_message_is_made_anew() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (files, _) = files(&whole, ONE);
    for (what, octets) in [("records", 64..900), ("details", 2200..3000), ("all of them", 64..5000)] {
        let disk = copy(&whole);
        wipe(&disk, &files[0], octets.start, octets.len());
        let report = checked(&disk);
        found(&report, &files[0], "with every message");
        mend(&disk);
        let after = dump(&disk).unwrap();
        assert_eq!(after, before, "{what}");
        assert!(checked(&disk).is_clean());
    }
}

#[test]
fn a_manifest_is_made_anew() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let path = manifest_path(ONE);
    let damaged = copy(&whole);
    damaged.damage(&path, |bytes| bytes[30] ^= 1);
    let missing = copy(&whole);
    block_on(missing.remove(&path)).unwrap();
    for disk in [&damaged, &missing] {
        block_on(disk.sync_folder(&account_folder(ONE))).unwrap();
        let report = checked(disk);
        let found = found(&report, &path, "made anew from the 3 files");
        assert!(found.means.contains("one@test"), "{}", found.means);
        mend(disk);
        assert_eq!(dump(disk).unwrap(), before);
        assert!(checked(disk).is_clean());
    }
}

#[test]
fn what_the_server_put_aside_is_mended() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (files, _) = files(&whole, ONE);
    let disk = copy(&whole);
    // The server opens the account in vain, and puts the file aside.
    disk.damage(&files[1], |bytes| *bytes.last_mut().unwrap() ^= 1);
    let refused = with_segments(&disk, 1, 2 << 20, async |stores: Vec<Store>| {
        let refused = stores[0].account(ONE).await.is_err();
        stores[0].account(TWO).await.unwrap();
        refused
    });
    assert!(refused.unwrap().0);
    assert!(!disk.paths().contains(&files[1]));
    let report = checked(&disk);
    found(&report, &files[1], "put aside");
    mend(&disk);
    assert_eq!(dump(&disk).unwrap(), before);
}

#[test]
fn a_file_without_an_index_gives_up_its_messages() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (files, _) = files(&whole, ONE);
    for (slot, cut) in [(0, false), (0, true), (1, false), (2, false), (2, true)] {
        let disk = copy(&whole);
        let path = &files[slot];
        let end = find(&disk, path, "INBOX");
        if cut {
            disk.damage(path, |bytes| bytes.truncate(end - 40));
        } else {
            wipe(&disk, path, end, 300);
        }
        let report = checked(&disk);
        let found = damage(&report);
        assert!(found.iter().any(|finding| finding.file == *path && finding.cure.contains("Recovered")), "{found:#?}");
        mend(&disk);
        let after = dump(&disk).unwrap();
        let recovered = &after[&(1, "Recovered".to_owned())];
        assert!(recovered.2.values().all(|message| message.2.is_ok()));
        // Everything that was there is there, here or where it was.
        let raws = |dump: &Dump| -> std::collections::BTreeSet<Vec<u8>> {
            let messages = dump.values().flat_map(|(_, _, messages)| messages.values());
            messages.filter_map(|message| Some(message.2.as_ref().ok()?.0.clone())).collect()
        };
        let missing = raws(&before).difference(&raws(&after)).count();
        assert_eq!(missing, usize::from(cut), "slot {slot}, cut {cut}: the last message was cut");
        for (name, (validity, next, messages)) in &before {
            let Some((validity_after, next_after, messages_after)) = after.get(name) else {
                assert!(slot == 0, "{name:?} is gone");
                continue;
            };
            if validity == validity_after {
                assert!(next_after >= next, "UIDs of {name:?} would be given out again");
                // What is expunged may come back, but no UID means another message.
                let known = messages_after.iter().filter_map(|(uid, message)| Some((message, messages.get(uid)?)));
                for (is, was) in known {
                    assert_eq!(is.2.as_ref().ok().map(|m| &m.0), was.2.as_ref().ok().map(|m| &m.0));
                }
            }
        }
    }
}

#[test]
fn a_body_file_is_had_from_another_account() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (_, ones) = files(&whole, ONE);
    let (_, twos) = files(&whole, TWO);
    let name = |path: &str| path.rsplit_once('/').unwrap().1.to_owned();
    let shared = ones.iter().find(|path| twos.iter().any(|other| name(other) == name(path))).unwrap();
    let disk = copy(&whole);
    block_on(disk.remove(shared)).unwrap();
    block_on(disk.sync_folder(&account_folder(ONE))).unwrap();
    let report = checked(&disk);
    let found = found(&report, shared, "looked for in the other accounts' folders");
    assert!(found.means.contains("number 70"), "{}", found.means);
    mend(&disk);
    assert_eq!(dump(&disk).unwrap(), before);
    assert!(checked(&disk).is_clean());
}

/// Of two body files one is a sealed message's, and the other one a record's of the log.
#[test]
fn a_lost_body_file_leaves_its_message() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (_, bodies) = files(&whole, ONE);
    let inbox = (1, "INBOX".to_owned());
    let subject =
        |path: &String| if memchr::memmem::find(&whole.bytes(path), b"number 60").is_some() { 60 } else { 61 };
    let alone: Vec<&String> = bodies.iter().filter(|path| whole.bytes(path).len() > LONG).collect();
    assert_eq!(alone.len(), 2);
    for path in alone {
        let disk = copy(&whole);
        wipe(&disk, path, disk.bytes(path).len() - 100_000, 50_000);
        let report = checked(&disk);
        found(&report, path, "the message stays as far as it can be read");
        mend(&disk);
        let mut after = dump(&disk).unwrap();
        let mut expected = before.clone();
        let (was, is) = (&mut expected.get_mut(&inbox).unwrap().2, &mut after.get_mut(&inbox).unwrap().2);
        let lost: Vec<u32> = is.iter().filter(|(_, message)| message.2.is_err()).map(|(uid, _)| *uid).collect();
        assert_eq!(lost.len(), 1, "number {}", subject(path));
        was.remove(&lost[0]);
        is.remove(&lost[0]);
        assert_eq!(after, expected);
    }
}

#[test]
fn the_log_is_mended() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let segments = segments(&whole);
    let log = block_on(logs::scan(&whole)).unwrap();
    assert!(log.segments[0].records.len() >= 6);
    // One bit of a record that others follow.
    let disk = copy(&whole);
    let at = find(&disk, &segments[0], "Message-ID: <20@test>");
    disk.damage(&segments[0], |bytes| bytes[at] ^= 16);
    assert!(dump(&disk).is_err(), "no server starts on it");
    let report = checked(&disk);
    let damaged = found(&report, &segments[0], "the records that are whole go into a new segment");
    assert!(damaged.means.contains("one@test") && damaged.means.contains("two@test"), "{}", damaged.means);
    mend(&disk);
    assert_eq!(dump(&disk).unwrap(), before);
    // A record that is gone, between others of the account and before them.
    let disk = copy(&whole);
    wipe(&disk, &segments[0], find(&disk, &segments[0], "Message-ID: <21@test>"), 200);
    let report = checked(&disk);
    let damaged = found(&report, &segments[0], "are not in the log");
    assert!(damaged.means.contains("of one@test changes"), "{}", damaged.means);
    mend(&disk);
    assert_eq!(dump(&disk).unwrap()[&(1, "INBOX".to_owned())], before[&(1, "INBOX".to_owned())]);
    wipe(&whole, &segments[0], at, 200);
    found(&checked(&whole), &segments[0], "no server starts on this folder");
    mend(&whole);
    let mut expected = before;
    let inbox = expected.get_mut(&(1, "INBOX".to_owned())).unwrap();
    inbox.2.retain(|_, message| !message.2.as_ref().is_ok_and(|message| message.0.starts_with(b"Subject: number 20")));
    assert_eq!(dump(&whole).unwrap(), expected);
}

#[test]
fn the_epoch_is_written_anew() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    whole.damage("log/EPOCH", |bytes| bytes[9] ^= 1);
    assert!(dump(&whole).is_err());
    found(&checked(&whole), "log/EPOCH", "above every epoch");
    mend(&whole);
    assert_eq!(dump(&whole).unwrap(), before);
    assert!(checked(&whole).is_clean());
}

#[test]
fn an_account_in_the_wrong_place_is_moved() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let disk = MemoryDisk::default();
    let (right, wrong) = (account_folder(ONE), "accounts/001/0000000000000001");
    for path in whole.paths() {
        disk.plant(&path.replace(&right, wrong), whole.bytes(&path));
    }
    let report = checked(&disk);
    assert!(
        damage(&report).iter().any(|finding| finding.file == wrong && finding.cure.starts_with("it is moved")),
        "{report:#?}"
    );
    mend(&disk);
    assert_eq!(dump(&disk).unwrap(), before);
    assert!(checked(&disk).is_clean());
}

#[test]
fn left_overs_are_harmless() {
    let disk = filled();
    let folder = account_folder(ONE);
    disk.plant(&format!("{folder}/7.tmp"), b"x".to_vec());
    disk.plant(&format!("{folder}/{}", Hash::of(b"x")), b"x".to_vec());
    disk.plant("spool/0000-1", b"x".to_vec());
    disk.plant("log/EPOCH.tmp", b"x".to_vec());
    let stranger = AccountId(77);
    let report = checked(&disk);
    assert!(report.is_clean());
    assert_eq!(report.findings.len(), 4, "{report:#?}");
    let names = HashMap::from([(ONE, "one@test".to_owned())]);
    let report = block_on(check(&disk, Job { names: &names, only: None }, &mut |_| ())).unwrap();
    assert!(report.is_clean() && report.findings.iter().any(|finding| finding.account == Some(TWO)));
    let only = HashSet::from([stranger]);
    let report = block_on(check(&disk, Job { names: &names, only: Some(&only) }, &mut |_| ())).unwrap();
    assert_eq!((report.looked.accounts, report.findings.len()), (0, 2));
    assert_eq!(mended(&disk).unwrap(), [""; 0]);
}

/// What two stores don't have in common.
fn differences(one: &Dump, other: &Dump) -> Vec<String> {
    let mut found = Vec::new();
    for name in one.keys().chain(other.keys()) {
        let (Some(one), Some(other)) = (one.get(name), other.get(name)) else {
            found.push(format!("{name:?} is in one"));
            continue;
        };
        if (one.0, one.1) != (other.0, other.1) {
            found.push(format!("{name:?}: {:?} and {:?}", (one.0, one.1), (other.0, other.1)));
        }
        for uid in one.2.keys().chain(other.2.keys()) {
            let short = |message: Option<&Shown>| {
                let read = message.map(|message| message.2.as_ref().map(|read| (read.0.len(), read.2.len(), read.3)));
                format!("{:?} {read:?}", message.map(|message| (message.0, message.1)))
            };
            if one.2.get(uid) != other.2.get(uid) {
                found.push(format!("{name:?} {uid}: {} and {}", short(one.2.get(uid)), short(other.2.get(uid))));
            }
        }
    }
    found
}

/// What a repair makes of a folder, whatever happened to it: accounts open, UIDs mean what they meant, and a second repair has
/// nothing to do.
fn assert_mends(disk: &MemoryDisk, before: &Dump, context: &str) -> Dump {
    mended(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    let report = checked(disk);
    let left: Vec<&Finding> = damage(&report).into_iter().filter(|it| it.grade == Grade::Damaged).collect();
    assert!(left.is_empty(), "{context}: {left:#?}");
    let after = dump(disk).unwrap_or_else(|error| panic!("{context}: {error}"));
    for (name, (validity, next, messages)) in &after {
        let Some((_, next_before, messages_before)) = before.get(name).filter(|before| before.0 == *validity) else {
            continue;
        };
        // Records that a log ended with leave nothing behind when all of them are gone.
        let cut = disk.paths().iter().any(|path| path.starts_with("log/") && path.ends_with(".corrupt"));
        assert!(next >= next_before || cut || context.contains("log/"), "{context}: {name:?} gives UIDs out again");
        for (uid, message) in messages {
            let raw = |message: &Shown| message.2.as_ref().ok().map(|message| message.0.clone());
            let (is, was) = (raw(message), messages_before.get(uid).and_then(raw));
            assert!(is.is_none() || was.is_none() || is == was, "{context}: {name:?} UID {uid} is another message");
        }
    }
    let again = mended(disk).unwrap();
    assert!(again.is_empty(), "{context}: a second repair does {again:?}");
    after
}

/// Damage of one kind or the other, anywhere; whether it is a single bit.
fn strike(disk: &MemoryDisk, random: &mut Random) -> (String, bool) {
    let paths: Vec<String> = disk.paths().into_iter().filter(|path| !path.contains(".corrupt")).collect();
    let path = paths[random.below(paths.len())].clone();
    let length = disk.bytes(&path).len();
    // The end of a log is long, and nothing.
    let used = if path.starts_with("log/0") { length.min(6000) } else { length };
    let at = random.below(used);
    let kind = random.below(8);
    let noise: Vec<u8> = (0..8).map(|_| random.next() as u8).collect();
    disk.damage(&path, |bytes| match kind {
        0..=3 => bytes[at] ^= 1 << (noise[0] % 8),
        4 => bytes[at..length.min(at + 8)].iter_mut().zip(&noise).for_each(|(byte, noise)| *byte ^= noise | 1),
        5 => bytes[at..length.min(at + 512)].fill(0),
        6 => bytes[at..length.min(at + 70_000)].fill(0xff),
        _ => bytes.truncate(at),
    });
    (format!("{path} at {at} of {length}, kind {kind}"), kind <= 3)
}

#[test]
fn random_damage() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    for seed in 0..260 {
        let disk = copy(&whole);
        let mut random = Random::new(seed + 5000);
        let times = 1 + random.below(8) / 6 * 2;
        let struck: Vec<(String, bool)> = (0..times).map(|_| strike(&disk, &mut random)).collect();
        let context = format!("seed {seed}: {struck:?}");
        let report = checked(&disk);
        // What a log ended with can't be told from nothing when all of it is gone.
        let telling = struck.iter().all(|(path, bit)| *bit || !path.starts_with("log/"));
        if report.is_clean() && telling {
            assert_eq!(dump(&disk).as_ref(), Ok(&before), "{context} is called clean");
        }
        let after = assert_mends(&disk, &before, &context);
        if times == 1 && struck[0].1 {
            assert_eq!(differences(&after, &before), [""; 0], "{context}: one bit is not put right\n{report:#?}");
        }
    }
}

/// A repair that is interrupted anywhere, by a power cut, is begun anew and makes the same.
#[test]
fn power_cuts_while_mending() {
    let whole = filled();
    let before = dump(&whole).unwrap();
    let (ones, bodies) = files(&whole, ONE);
    let (index, log) = (find(&whole, &ones[1], "INBOX"), segments(&whole));
    let record = find(&whole, &log[0], "Message-ID: <20@test>");
    let wiped = find(&whole, &ones[0], "Message-ID: <6@test>");
    let damages: [&dyn Fn(&MemoryDisk); 4] = [
        &|disk| {
            disk.damage(&ones[0], |bytes| bytes[500] ^= 1);
            disk.damage(&manifest_path(ONE), |bytes| bytes[9] ^= 1);
        },
        &|disk| wipe(disk, &ones[0], wiped, 300),
        &|disk| {
            wipe(disk, &ones[1], index, 300);
            disk.damage("log/EPOCH", |bytes| bytes[9] ^= 1);
        },
        &|disk| {
            wipe(disk, &log[0], record, 100);
            bodies.iter().for_each(|path| wipe(disk, path, disk.bytes(path).len() - 40_000, 20_000));
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        let damaged = copy(&whole);
        damage(&damaged);
        let counted = copy(&damaged);
        let expected = assert_mends(&counted, &before, "uninterrupted");
        let counted = copy(&damaged);
        mended(&counted).unwrap();
        let total = counted.operations();
        assert!(total > 5, "{total}");
        for stop in 1..=total {
            let disk = copy(&damaged);
            disk.fail_from(stop);
            assert!(mended(&disk).is_err());
            let context = format!("damage {number}, stopped at {stop} of {total}");
            let after = assert_mends(&disk.crash(stop), &before, &context);
            assert_eq!(differences(&after, &expected), [""; 0], "{context}");
        }
    }
}
