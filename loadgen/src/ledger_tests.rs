//! What a ledger finds, and what it must not complain about.

use super::*;

const A: &str = "a@localhost";

fn id(number: u64) -> Id {
    Id { number, run: 7 }
}

fn at(uid: u32) -> Place {
    Place { validity: 3, uid }
}

fn found(uid: u32, number: u64, flags: &[&str]) -> Found {
    Found {
        uid,
        flags: flags.iter().map(ToString::to_string).collect(),
        id: Some(id(number)),
        verdict: Verdict::Intact,
    }
}

/// Messages 1 to 4 were appended; 1 is flagged, 2 no longer, 3 is expunged, 4 has no known UID; 5 has no answer.
fn example(journal: Option<Box<dyn Write>>) -> Ledger {
    let mut ledger = Ledger::new(journal);
    for number in 1..=4u32 {
        let op = ledger.begin(A, "INBOX", Change::Append { id: id(number.into()) }).expect("begun");
        ledger.done(op, (number < 4).then(|| at(number))).expect("done");
    }
    for (uid, set) in [(1, true), (2, true), (2, false)] {
        let flag = Change::Flag { at: at(uid), flag: "\\Flagged".into(), set };
        let op = ledger.begin(A, "INBOX", flag).expect("begun");
        ledger.done(op, None).expect("done");
    }
    let op = ledger.begin(A, "INBOX", Change::Expunge { at: at(3) }).expect("begun");
    ledger.done(op, None).expect("done");
    ledger.begin(A, "INBOX", Change::Append { id: id(5) }).expect("begun");
    ledger
}

fn whole() -> Vec<Found> {
    vec![found(1, 1, &["\\Flagged", "\\Seen"]), found(2, 2, &[]), found(9, 4, &[])]
}

#[test]
fn what_was_promised_passes() {
    let ledger = example(None);
    assert_eq!((ledger.promised(), ledger.in_doubt()), (3, 1));
    assert_eq!(ledger.check(A, "INBOX", 3, &whole()), [""; 0]);
    let with_the_doubtful_one = whole().into_iter().chain([found(10, 5, &[])]).collect::<Vec<_>>();
    assert_eq!(ledger.check(A, "INBOX", 3, &with_the_doubtful_one), [""; 0]);
}

#[test]
fn each_broken_promise_is_found() {
    let ledger = example(None);
    let without = |uid| whole().into_iter().filter(|one| one.uid != uid).collect::<Vec<_>>();
    let with = |one: Found| without(one.uid).into_iter().chain([one]).collect::<Vec<_>>();
    let damaged = Found { verdict: Verdict::Damaged, ..found(9, 4, &[]) };
    for (mailbox, part) in [
        (without(1), "UID 1 was acknowledged and is lost"),
        (without(9), "message 4.7 was acknowledged and is lost"),
        (with(found(3, 3, &[])), "UID 3 was expunged and is back"),
        (with(found(1, 1, &[])), "UID 1 has lost \\Flagged"),
        (with(found(2, 2, &["\\flagged"])), "UID 2 has \\Flagged"),
        (with(found(2, 8, &[])), "UID 2 is another one"),
        (with(found(10, 1, &[])), "message 1.7 is there 1 times more than it was put there"),
        (with(found(10, 4, &[])), "message 4.7 is there 1 times more"),
        (with(damaged), "UID 9 is damaged"),
    ] {
        let wrong = ledger.check(A, "INBOX", 3, &mailbox);
        assert!(
            wrong.len() == 1 && wrong[0].starts_with("INBOX of a@localhost: ") && wrong[0].contains(part),
            "{part}: {wrong:?}"
        );
    }
    assert!(ledger.check(A, "INBOX", 4, &whole())[0].contains("UIDVALIDITY was 3 and now is 4"));
    assert!(ledger.told_flags(A, "INBOX", at(1), &[b"\\Seen"]).is_err());
    assert!(ledger.told_flags(A, "INBOX", at(1), &[b"\\FLAGGED"]).is_ok());
}

#[test]
fn moves_and_refusals() {
    let mut ledger = example(None);
    let op = ledger.begin(A, "INBOX", Change::Copy { from: at(1), to: "Old".into(), moves: true }).expect("begun");
    assert_eq!(ledger.check(A, "INBOX", 3, &whole()), [""; 0], "before its answer it may be at both places");
    ledger.done(op, Some(Place { validity: 8, uid: 20 })).expect("done");
    assert!(ledger.check(A, "INBOX", 3, &whole())[0].contains("UID 1 was expunged and is back"));
    assert_eq!(ledger.check(A, "Old", 8, &[found(20, 1, &[])]), [""; 0]);
    assert!(ledger.check(A, "Old", 8, &[])[0].contains("is lost"));

    let op = ledger.begin(A, "INBOX", Change::Append { id: id(6) }).expect("begun");
    ledger.refused(op).expect("refused");
    let mailbox = [found(2, 2, &[]), found(9, 4, &[]), found(11, 6, &[])];
    assert_eq!(
        ledger.check(A, "INBOX", 3, &mailbox),
        ["INBOX of a@localhost: message 6.7 is there 1 times more than it was put there"]
    );
}

#[test]
fn a_delivery_is_known_by_its_uid_once_it_was_seen() {
    let mut ledger = Ledger::new(None);
    let op = ledger.begin(A, "INBOX", Change::Deliver { id: id(1) }).expect("begun");
    ledger.done(op, None).expect("done");
    ledger.begin(A, "INBOX", Change::Seen { at: at(5), id: id(1) }).expect("seen");
    assert_eq!(ledger.id_at(A, "INBOX", at(5)), Some(id(1)));
    assert!(ledger.check(A, "INBOX", 3, &[])[0].contains("UID 5 was acknowledged and is lost"));
    assert!(ledger.check(A, "INBOX", 3, &[found(5, 1, &[]), found(6, 1, &[])])[0].contains("1 times more"));
    assert!(ledger.begin(A, "INBOX", Change::Seen { at: at(6), id: id(1) }).is_err(), "it was put there once");
    let op = ledger.begin(A, "INBOX", Change::Expunge { at: at(5) }).expect("begun");
    ledger.done(op, None).expect("done");
    assert_eq!(ledger.check(A, "INBOX", 3, &[]), [""; 0]);
    assert!(ledger.begin(A, "INBOX", Change::Seen { at: at(5), id: id(2) }).is_err(), "another one under the same UID");
}

#[test]
fn a_delivery_may_be_seen_before_it_is_acknowledged() {
    for removed in [false, true] {
        let mut ledger = Ledger::new(None);
        let op = ledger.begin(A, "INBOX", Change::Deliver { id: id(1) }).expect("begun");
        ledger.begin(A, "INBOX", Change::Seen { at: at(5), id: id(1) }).expect("seen");
        assert_eq!(ledger.check(A, "INBOX", 3, &[]), [""; 0], "it was not acknowledged");
        if removed {
            let gone = ledger.begin(A, "INBOX", Change::Expunge { at: at(5) }).expect("begun");
            ledger.done(gone, None).expect("done");
        }
        ledger.done(op, None).expect("done");
        let (empty, full) = (ledger.check(A, "INBOX", 3, &[]), ledger.check(A, "INBOX", 3, &[found(5, 1, &[])]));
        assert_eq!((empty.len(), full.len()), if removed { (0, 1) } else { (1, 0) }, "{empty:?} {full:?}");
    }
}

#[test]
fn a_copy_whose_answer_was_lost_may_be_there_beside_another() {
    let mut ledger = example(None);
    let copy = |ledger: &mut Ledger| {
        ledger.begin(A, "INBOX", Change::Copy { from: at(1), to: "Old".into(), moves: false }).expect("begun")
    };
    copy(&mut ledger);
    let op = copy(&mut ledger);
    ledger.done(op, Some(Place { validity: 8, uid: 9 })).expect("done");
    for uids in [&[9][..], &[8, 9]] {
        let found: Vec<Found> = uids.iter().map(|uid| found(*uid, 1, &[])).collect();
        assert_eq!(ledger.check(A, "Old", 8, &found), [""; 0], "{uids:?}");
    }
    let three: Vec<Found> = [7, 8, 9].iter().map(|uid| found(*uid, 1, &[])).collect();
    assert_eq!(ledger.check(A, "Old", 8, &three).len(), 1);
    assert_eq!(ledger.in_doubt(), 2);
}

#[test]
fn a_message_that_was_seen_before_its_place_was_told_is_promised_all_the_same() {
    let mut ledger = Ledger::new(None);
    let op = ledger.begin(A, "INBOX", Change::Append { id: id(1) }).expect("begun");
    ledger.begin(A, "INBOX", Change::Seen { at: at(5), id: id(1) }).expect("seen");
    ledger.done(op, Some(at(5))).expect("done");
    assert_eq!(ledger.check(A, "INBOX", 3, &[found(5, 1, &[])]), [""; 0]);
    assert!(ledger.check(A, "INBOX", 3, &[])[0].contains("UID 5 was acknowledged and is lost"));
}

#[test]
fn a_journal_says_the_same_and_may_be_cut_short() {
    let path = std::env::temp_dir().join(format!("loadgen-ledger-{}", std::process::id()));
    let file = std::fs::File::create(&path).expect("a file");
    drop(example(Some(Box::new(file))));
    let text = std::fs::read(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it is ours");
    let (again, bytes) = Ledger::read(&text[..]).expect("a journal");
    assert_eq!(bytes, text.len() as u64);
    assert_eq!(again.check(A, "INBOX", 3, &whole()), [""; 0]);
    assert_eq!((again.promised(), again.in_doubt()), (3, 1));
    let (cut, bytes) = Ledger::read(&text[..text.len() - 3]).expect("a journal");
    assert_eq!((cut.promised(), cut.in_doubt()), (3, 0));
    assert!(text[..bytes as usize].ends_with(b"\n") && bytes as usize > text.len() / 2);
    assert!(Ledger::read(&b"{}\n"[..]).is_err_and(|what| what.starts_with("line 1: ")));
}

/// Only who knows of the first copy can tell whether the second one is one too many.
#[test]
fn a_journal_that_goes_on_knows_what_was_put_there_before() {
    let copy = || Change::Copy { from: at(1), to: "Copies".into(), moves: false };
    let mut first = example(None);
    let op = first.begin(A, "INBOX", copy()).expect("begun");
    first.done(op, Some(at(1))).expect("done");
    let mut next = first.resumed(Box::new(std::io::sink()));
    assert_eq!(next.begin(A, "INBOX", copy()).expect("begun"), op + 1, "numbers go on");
    let copies = |count: u32| (1..=count).map(|uid| found(uid, 1, &[])).collect::<Vec<_>>();
    assert_eq!(next.check(A, "Copies", 3, &copies(1)), [""; 0]);
    assert_eq!(next.check(A, "Copies", 3, &copies(2)), [""; 0]);
    assert!(next.check(A, "Copies", 3, &copies(3))[0].contains("1 times more"));
}
