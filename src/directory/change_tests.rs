//! Changes: what they make of the accounts, and that what is refused is not written.

use super::*;
use crate::config::data::scratch;
use crate::directory::tests::{add, settings};
use crate::directory::{Resolved, Secret, credential};

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| text.to_string()).collect()
}

fn aliased(aliases: &[&str]) -> Edit {
    Edit { aliases: texts(aliases), ..Edit::default() }
}

fn named(names: &[&str]) -> Edit {
    Edit { names: texts(names), ..Edit::default() }
}

fn called(names: &[&str]) -> Change {
    Change::Set { name: "a@x".into(), edit: named(names) }
}

fn removing(aliases: &[&str], names: &[&str]) -> Change {
    let edit = Edit { remove_aliases: texts(aliases), remove_names: texts(names), ..Edit::default() };
    Change::Set { name: "a@x".into(), edit }
}

fn set(directory: &mut Directory, name: &str, edit: Edit) -> Result<Listed, Refusal> {
    directory.change(Change::Set { name: name.into(), edit })
}

#[test]
fn changes_survive_a_restart() {
    let folder = scratch("directory-changes");
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    let anna = directory.change(add("Anna@Example.org", "one")).unwrap();
    directory.change(add("bob@example.org", "two")).unwrap();
    let before = directory.book.by_id(anna.account).unwrap().password.clone();
    let password = Secret::from("new".to_string());
    directory.change(Change::Password { name: "anna@example.ORG".into(), password }).unwrap();
    directory.change(Change::Delete { name: "bob@example.org".into() }).unwrap();
    set(&mut directory, "anna@example.org", Edit { enabled: Some(false), ..Edit::default() }).unwrap();
    drop(directory);
    let directory = Directory::open(&folder, settings(&[])).unwrap();
    let listed = Listed { name: "Anna@example.org".into(), enabled: false, ..anna };
    assert_eq!(directory.accounts(), [listed]);
    let after = &directory.book.first().unwrap().password;
    assert_ne!(*after, before);
    assert!(credential::verify(after, &Secret::from("new".to_string())));
    assert!(!std::fs::read_to_string(folder.join("directory")).unwrap().contains("new"));
}

#[test]
fn what_is_refused_is_not_written() {
    let folder = scratch("directory-refused");
    let mut directory = Directory::open(&folder, settings(&["x", "y"])).unwrap();
    let password = || Secret::from("pw".to_string());
    let alias =
        |name: &str, aliases: &[&str]| Change::Add { name: name.into(), password: password(), edit: aliased(aliases) };
    directory.change(alias("a@x", &["info@x"])).unwrap();
    let before = std::fs::read(folder.join("directory")).unwrap();
    for (change, part) in [
        (add("A@X", "pw"), "already"),
        (add("info@x", "pw"), "already"),
        (add("b@z", "pw"), "not one of this server's: x, y"),
        (add("b", "pw"), "local@domain"),
        (add("b@x", ""), "empty"),
        (alias("b@x", &["c@y", "C@y"]), "already"),
        (alias("b@x", &["B@x"]), "already"),
        (alias("b@x", &["info@x"]), "already"),
        (Change::Delete { name: "info@x".into() }, "no account"),
        (Change::Delete { name: "b@x".into() }, "no account"),
        (Change::Password { name: "b@x".into(), password: password() }, "no account"),
        (Change::Password { name: "a@x".into(), password: Secret::new(vec![]) }, "empty"),
        (Change::Set { name: "info@x".into(), edit: aliased(&["c@x"]) }, "no account"),
        (Change::Set { name: "a@x".into(), edit: aliased(&["c@z"]) }, "not one of this server's: x, y"),
        (Change::Set { name: "a@x".into(), edit: aliased(&["info@x"]) }, "already"),
        (Change::Set { name: "a@x".into(), edit: aliased(&["a@x"]) }, "already"),
        (Change::Set { name: "a@x".into(), edit: aliased(&["catch all"]) }, "local@domain"),
        (removing(&["c@x"], &[]), "no alias \"c@x\""),
        (removing(&[], &["Anna"]), "no other name \"Anna\""),
        (called(&["anna@x"]), "add it as an alias"),
        (called(&["Anna/"]), "none empty"),
        (called(&["Anna Muster/ACME", "cn=anna muster/o=acme"]), "already"),
    ] {
        let refused = directory.change(change).unwrap_err().to_string();
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(std::fs::read(folder.join("directory")).unwrap(), before);
}

#[test]
fn an_account_is_changed_and_keeps_what_is_not_named() {
    let folder = scratch("directory-set");
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    let anna = directory.change(add("anna@x", "pw")).unwrap();
    let all = Edit {
        aliases: texts(&["info@y", "Sales@Z"]),
        names: texts(&["Anna  Muster/Sales/ACME", "am"]),
        quota: Some(Quota::Octets(5 << 30)),
        ..Edit::default()
    };
    let listed = set(&mut directory, "ANNA@X", all).unwrap();
    let expected = Listed {
        aliases: texts(&["info@y", "Sales@z"]),
        names: texts(&["Anna Muster/Sales/ACME", "am"]),
        quota: Some(5 << 30),
        ..anna.clone()
    };
    assert_eq!(listed, expected);
    let listed = set(&mut directory, "anna@x", Edit { enabled: Some(false), ..Edit::default() }).unwrap();
    assert_eq!(listed, Listed { enabled: false, ..expected.clone() });
    let edit = Edit {
        remove_aliases: texts(&["SALES@z"]),
        remove_names: texts(&["cn=Anna Muster/ou=sales/acme"]),
        quota: Some(Quota::None),
        enabled: Some(true),
        ..Edit::default()
    };
    let listed = set(&mut directory, "anna@x", edit).unwrap();
    let expected = Listed { aliases: texts(&["info@y"]), names: texts(&["am"]), ..anna };
    assert_eq!(listed, expected);
    assert_eq!(Directory::open(&folder, settings(&[])).unwrap().accounts(), [expected]);
}

#[test]
fn a_renamed_account_keeps_its_number_and_password() {
    let folder = scratch("directory-rename");
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    let anna = directory.change(add("anna@x", "pw")).unwrap();
    directory.change(add("bob@x", "pw")).unwrap();
    let stored = directory.book.by_id(anna.account).unwrap().password.clone();
    let rename = |name: &str, aliases: &[&str]| Edit { rename: Some(name.into()), ..aliased(aliases) };
    let refused = set(&mut directory, "anna@x", rename("Bob@x", &[])).unwrap_err();
    assert!(matches!(refused, Refusal::NameTaken(_)), "{refused}");
    // The old name stays as an alias, and a new name may have been an alias.
    let listed = set(&mut directory, "anna@x", rename("Anna.Berg@x", &["anna@x"])).unwrap();
    assert_eq!(
        (listed.account, listed.name.as_str(), listed.aliases),
        (anna.account, "Anna.Berg@x", texts(&["anna@x"]))
    );
    let listed = set(&mut directory, "anna.berg@x", rename("anna@x", &[])).unwrap();
    assert_eq!((listed.name.as_str(), listed.aliases), ("anna@x", vec![]));
    assert_eq!(directory.book.by_id(anna.account).unwrap().password, stored);
    assert_eq!(directory.resolve("anna.berg@x"), Resolved::NoSuchUser);
}

#[test]
fn another_s_whole_name_is_taken_and_a_common_name_is_not() {
    let folder = scratch("directory-names");
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    directory.change(add("a@x", "pw")).unwrap();
    directory.change(add("b@x", "pw")).unwrap();
    set(&mut directory, "a@x", named(&["Anna Muster/Sales/ACME"])).unwrap();
    let refused = set(&mut directory, "b@x", named(&["CN=anna muster/OU=sales/O=acme"])).unwrap_err();
    assert!(matches!(refused, Refusal::NameTaken(_)), "{refused}");
    set(&mut directory, "b@x", named(&["Anna Muster/Research/ACME"])).unwrap();
}

#[test]
fn what_an_account_has_is_bounded() {
    let folder = scratch("directory-bounds");
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    directory.change(add("a@x", "pw")).unwrap();
    let wide = |number: usize| format!("{number:0>64}@{}.x", ["d".repeat(63).as_str(); 3].join("."));
    let aliases: Vec<String> = (0..ALIASES_MAX).map(wide).collect();
    set(&mut directory, "a@x", Edit { aliases, ..Edit::default() }).unwrap();
    let refused = set(&mut directory, "a@x", aliased(&["one@more"])).unwrap_err();
    assert!(matches!(refused, Refusal::Full(_)), "{refused}");
    let names: Vec<String> = (0..LOGIN_NAMES_MAX).map(|number| format!("{number}{}", "\\".repeat(300))).collect();
    set(&mut directory, "a@x", Edit { names, ..Edit::default() }).unwrap();
    let refused = set(&mut directory, "a@x", named(&["one more"])).unwrap_err();
    assert!(matches!(refused, Refusal::Full(_)), "{refused}");
    let domain = |number: usize| format!("{number}.{}.x", ["d".repeat(63).as_str(); 3].join("."));
    for number in 0..CATCH_ALLS_MAX {
        directory.set_catch_all(&domain(number), Some("a@x")).unwrap();
    }
    let refused = directory.set_catch_all("y", Some("a@x")).unwrap_err();
    assert!(matches!(refused, Refusal::Full(_)), "{refused}");
    // As full as it can be, and the record of a catch-all that moves holds two such accounts.
    let line = std::fs::read_to_string(folder.join("directory")).unwrap().lines().map(str::len).max().unwrap();
    assert!(2 * line < crate::limits::DIRECTORY_RECORD_BYTES_MAX, "{line}");
}

#[test]
fn a_catch_all_is_given_moved_and_taken() {
    let folder = scratch("directory-catch-all");
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    directory.change(add("a@x", "pw")).unwrap();
    directory.change(add("b@x", "pw")).unwrap();
    let domain = |name: &str, addresses, catch_all: Option<&str>| Domain {
        name: name.into(),
        addresses,
        catch_all: catch_all.map(str::to_string),
    };
    assert_eq!(directory.domains(), [domain("x", 2, None)]);
    assert!(matches!(directory.set_catch_all("y", None), Err(Refusal::DomainNotLocal { .. })));
    assert!(matches!(directory.set_catch_all("no domain", None), Err(Refusal::Domain(_))));
    assert!(matches!(directory.set_catch_all("y", Some("c@x")), Err(Refusal::NoSuchAccount(_))));
    assert_eq!(directory.set_catch_all("Y", Some("A@x")).unwrap(), domain("y", 0, Some("a@x")));
    let size = |folder: &std::path::Path| std::fs::metadata(folder.join("directory")).unwrap().len();
    let before = size(&folder);
    directory.set_catch_all("y", Some("a@x")).unwrap();
    assert_eq!(size(&folder), before, "nothing to write");
    directory.set_catch_all("y", Some("b@x")).unwrap();
    let mut directory = Directory::open(&folder, settings(&[])).unwrap();
    assert_eq!(directory.domains(), [domain("x", 2, None), domain("y", 0, Some("b@x"))]);
    assert_eq!(directory.accounts().iter().map(|listed| listed.catch_all.len()).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(directory.set_catch_all("y", None).unwrap(), domain("y", 0, None));
    assert_eq!(directory.domains(), [domain("x", 2, None)]);
    directory.set_catch_all("x", Some("a@x")).unwrap();
    directory.change(Change::Delete { name: "a@x".into() }).unwrap();
    assert_eq!(directory.domains(), [domain("x", 1, None)], "gone with its account");
    let mut directory = Directory::open(&folder, settings(&["x", "w"])).unwrap();
    assert_eq!(directory.domains(), [domain("x", 1, None), domain("w", 0, None)], "the configured ones");
    assert!(matches!(directory.set_catch_all("y", Some("b@x")), Err(Refusal::DomainNotLocal { .. })));
}
