//! What the store promises, one by one.

use super::*;

#[test]
fn append_restart_seal_restart() {
    let disk = MemoryDisk::default();
    with_store(&disk, async |store| {
        let account = store.account(AccountId(7)).await.unwrap();
        let inbox = account.mailbox("inbox").unwrap();
        assert_eq!(&*inbox.name(), "INBOX");
        assert_eq!(inbox.uid_validity(), UidValidity(SEED as u32));
        let uids = join((0..20).map(|n| boxed(inbox.append(message(n, 500)))).collect()).await;
        assert_eq!(uids, (1..=20).map(|uid| Ok(Uid(uid))).collect::<Vec<_>>());
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
    });
    // Out of the log.
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 7).await;
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
        assert_eq!((inbox.uid_next(), inbox.counts().unseen), (21, 20));
        store.seal_all().await.unwrap();
        // Out of the file, while the account is open.
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
    });
    // Out of the file.
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 7).await;
        assert_eq!(numbers(&inbox, |_| 500), (0..20).collect::<Vec<_>>());
        assert_eq!(inbox.append(message(20, 500)).await, Ok(Uid(21)));
        assert_eq!(inbox.counts().messages, 21);
    });
}

pub(super) fn boxed<'a, T>(future: impl Future<Output = T> + 'a) -> Pin<Box<dyn Future<Output = T> + 'a>> {
    Box::pin(future)
}

pub(super) async fn inbox(store: &Store, id: u64) -> Mailbox {
    store.account(AccountId(id)).await.unwrap().mailbox("INBOX").unwrap()
}
