//! What a commit tells of itself, and the checkpoint of a store that is left alone.

use super::whole::{boxed, inbox};
use super::*;
use crate::limits::{CHECKPOINT_LOG_BYTES, CHECKPOINT_TIME, LOG_UNSEALED_BYTES_MAX};

fn a_quiet_store_is_sealed_by_time<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let slept = Rc::new(RefCell::new(Vec::new()));
        let (told, ticks) = (slept.clone(), Rc::new(Cell::new(0)));
        let allowed = ticks.clone();
        let sleep = async move |time: Duration| {
            told.borrow_mut().push(time);
            poll_fn(|_| if allowed.get() > 0 { Poll::Ready(()) } else { Poll::Pending }).await;
            allowed.set(allowed.get() - 1);
        };
        let mut timer = boxed(store.checkpoints_by_time(sleep));
        let mut checkpoints = boxed(store.checkpointer(async || yield_now().await));
        let mut turn = async || {
            for _ in 0..200 {
                let mut context = Context::from_waker(Waker::noop());
                assert!(timer.as_mut().poll(&mut context).is_pending());
                assert!(checkpoints.as_mut().poll(&mut context).is_pending());
                yield_now().await;
            }
        };
        // The one of the start, then nothing to do.
        turn().await;
        let begun = || store.0.checkpoints.begun();
        assert_eq!(begun(), 1);
        ticks.set(1);
        turn().await;
        assert_eq!((begun(), ticks.get(), &slept.borrow()[..]), (1, 0, &[CHECKPOINT_TIME; 2][..]));
        let inbox = inbox(&store, 1).await;
        inbox.append(message(1, 300)).await.unwrap();
        turn().await;
        assert_eq!(begun(), 1, "not before its time");
        ticks.set(1);
        turn().await;
        assert_eq!(begun(), 2);
        assert!(!inbox.account().state().is_unsealed());
        // Another came of itself meanwhile: not so soon again.
        inbox.append(message(2, 300)).await.unwrap();
        store.seal_all().await.unwrap();
        inbox.append(message(3, 300)).await.unwrap();
        ticks.set(1);
        turn().await;
        assert_eq!(begun(), 3);
        ticks.set(1);
        turn().await;
        assert_eq!(begun(), 4);
    });
}

/// What came while one ran is not sealed at once, in as many small files, but when it is as much again.
fn a_checkpoint_does_not_follow_on_the_last<W: World>() {
    let disk = W::default();
    let ran = with_segments(&disk, 1, 16 << 20, async |stores: Vec<Store>| {
        let store = stores[0].clone();
        let begun = || store.0.checkpoints.begun();
        let inbox = inbox(&store, 1).await;
        let mut checkpoints = boxed(store.checkpointer(async || yield_now().await));
        let mut turn = async || {
            assert!(checkpoints.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            yield_now().await;
        };
        // The one of the start.
        while store.0.commits.published().1 > 0 {
            turn().await;
        }
        let mut number = 0;
        while begun() == 1 || number < 5 {
            number += 1;
            inbox.append(message(number, 250_000)).await.unwrap();
            turn().await;
        }
        let under_way = number;
        for _ in 0..3 {
            number += 1;
            inbox.append(message(number, 250_000)).await.unwrap();
        }
        while store.0.commits.published().1 >= CHECKPOINT_LOG_BYTES {
            turn().await;
        }
        for _ in 0..200 {
            turn().await;
        }
        assert_eq!(begun(), 2, "{under_way} and {number}");
        assert!(store.0.commits.published().1 > 0);
    });
    assert!(!ran.unwrap().1);
}

fn every_commit_is_told<W: World>() {
    let disk = W::default();
    let replay = recovered(&disk).unwrap().shards.remove(0);
    let store = block_on(Store::open(&disk.medium(SEGMENT_BYTES), replay, Box::new(|| ()), SEED)).unwrap();
    let (told, time) = (Rc::new(RefCell::new(Vec::new())), Cell::new(Duration::ZERO));
    let commits = told.clone();
    let clock = move || {
        // A second passes between any two looks at it.
        time.set(time.get() + Duration::from_secs(1));
        time.get()
    };
    let writer = store.writer(clock, move |took: CommitTook| commits.borrow_mut().push(took));
    let mut others: Vec<Pin<Box<dyn Future<Output = ()>>>> = vec![Box::pin(async move {
        let _ = writer.await;
    })];
    let work = async {
        let inbox = inbox(&store, 1).await;
        let before = disk.commits() as usize;
        assert_eq!(told.borrow().len(), 1);
        let appended = join((0..20).map(|number| boxed(inbox.append(message(number, 500)))).collect()).await;
        assert!(appended.iter().all(Result::is_ok));
        assert_eq!(told.borrow().len(), 1 + disk.commits() as usize - before, "one for each commit");
    };
    drive(work, &mut others);
    let told = told.borrow();
    // The account's first mailboxes, and the messages.
    assert_eq!(told.iter().map(|took| took.records).sum::<u32>(), 6 + 20);
    let octets: usize = told.iter().map(|took| took.bytes).sum();
    assert!((20 * 500..64 * 1024).contains(&octets), "{octets}");
    assert!(told.iter().all(|took| took.nanoseconds == 1_000_000_000), "{told:?}");
}

/// Who comes while the log holds as much as it may waits for a checkpoint, and is refused when two of them were in vain.
fn a_full_log_waits_for_a_checkpoint<W: World>() {
    let disk = W::default();
    with_store(&disk, async |store| {
        let inbox = inbox(&store, 1).await;
        let mut checkpoints = boxed(store.checkpointer(async || yield_now().await));
        let mut run = |append: &mut Pin<Box<dyn Future<Output = Result<Uid, Error>> + '_>>, sealing: bool| {
            let mut context = Context::from_waker(Waker::noop());
            if sealing {
                assert!(checkpoints.as_mut().poll(&mut context).is_pending());
            }
            append.as_mut().poll(&mut context)
        };
        store.0.commits.count_unsealed(LOG_UNSEALED_BYTES_MAX + 1);
        let mut append = boxed(inbox.append(message(1, 300)));
        for _ in 0..1000 {
            assert!(run(&mut append, false).is_pending(), "nobody seals");
            yield_now().await;
        }
        let outcome = loop {
            match run(&mut append, true) {
                Poll::Ready(outcome) => break outcome,
                Poll::Pending => yield_now().await,
            }
        };
        assert_eq!((outcome, store.0.checkpoints.begun()), (Ok(Uid(1)), 1));
        store.0.commits.count_unsealed(LOG_UNSEALED_BYTES_MAX + 1);
        disk.fill(true);
        let mut append = boxed(inbox.append(message(2, 300)));
        let outcome = loop {
            match run(&mut append, true) {
                Poll::Ready(outcome) => break outcome,
                Poll::Pending => yield_now().await,
            }
        };
        assert_eq!((outcome, store.0.checkpoints.begun()), (Err(Error::Busy), 3));
    });
}

suite! {
    a_quiet_store_is_sealed_by_time
    a_checkpoint_does_not_follow_on_the_last
    every_commit_is_told
    a_full_log_waits_for_a_checkpoint
}
