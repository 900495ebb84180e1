//! Messages between threads: one doorbell a shard, typed inboxes behind it, and calls with an answer.
//!
//! Invariants: a sender never waits; a message is in its queue before the bell is rung; a shard that sleeps with the bell
//! unanswered does not exist (the state word is swapped on both sides, so either the shard sees `RUNG` before it sleeps or
//! the sender sees `ASLEEP` and writes the eventfd). A [`Reply`] that is dropped unanswered resolves its [`Answer`] to
//! `None`: a caller never waits for a thread that died.
//! It does not know the ring: the shard's driver watches [`Doorbell::descriptor`] and calls [`Post::collect`].

use std::any::Any;
use std::cell::RefCell;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RUNG: u8 = 2;

/// Wakes one shard. Shared by everyone who may send to it.
#[derive(Debug)]
pub struct Doorbell {
    state: AtomicU8,
    eventfd: File,
}

impl Doorbell {
    /// A bell over `eventfd`, which the shard's driver reads while it sleeps.
    pub fn new(eventfd: OwnedFd) -> Arc<Doorbell> {
        Arc::new(Doorbell { state: AtomicU8::new(AWAKE), eventfd: File::from(eventfd) })
    }

    /// Tells the shard that an inbox has something; a system call only where the shard sleeps.
    pub fn ring(&self) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            self.poke();
        }
    }

    /// Writes the eventfd whatever the state: the watchdog's way to wake a shard that may have missed a wake-up.
    pub fn poke(&self) {
        // It can only be refused when the counter is full, and then the shard has 2^64 wake-ups to read.
        let _ = (&self.eventfd).write(&1u64.to_ne_bytes());
    }

    /// The descriptor to watch while asleep.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    /// The driver's word that it goes to sleep; false: the bell was rung, collect first.
    pub fn sleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The driver is awake again; true: the bell was rung meanwhile.
    pub fn answer(&self) -> bool {
        // A plain load first: this runs every turn, and the line is shared with the senders.
        self.state.load(Ordering::Relaxed) != AWAKE && self.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// True where somebody rang since the driver last answered.
    pub fn rung(&self) -> bool {
        self.state.load(Ordering::Relaxed) == RUNG
    }

    /// True while the driver sleeps (the watchdog's question).
    pub fn asleep(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ASLEEP
    }
}

/// Where to send a `T` for one shard. Cloned freely, sent anywhere.
#[derive(Debug)]
pub struct Address<T> {
    queue: mpsc::Sender<T>,
    bell: Arc<Doorbell>,
}

impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        Address { queue: self.queue.clone(), bell: self.bell.clone() }
    }
}

impl<T> Address<T> {
    /// Queues `message` and wakes the shard; gives it back where the shard is gone.
    pub fn send(&self, message: T) -> Result<(), T> {
        self.queue.send(message).map_err(|refused| refused.0)?;
        self.bell.ring();
        Ok(())
    }
}

/// The shard's end of an [`Address`].
#[derive(Debug)]
pub struct Inbox<T> {
    queue: mpsc::Receiver<T>,
    post: Rc<Post>,
}

/// An address and its inbox, to be made before the shard's thread runs: [`Mail::open`] turns it into an [`Inbox`] there.
pub fn address<T>(bell: &Arc<Doorbell>) -> (Address<T>, Mail<T>) {
    let (sender, receiver) = mpsc::channel();
    (Address { queue: sender, bell: bell.clone() }, Mail(receiver))
}

/// The receiving end of an address on its way to the shard's thread.
#[derive(Debug)]
pub struct Mail<T>(mpsc::Receiver<T>);

impl<T> Mail<T> {
    /// Opens the inbox on the shard whose doorbell the address rings.
    pub fn open(self, post: &Rc<Post>) -> Inbox<T> {
        Inbox { queue: self.0, post: post.clone() }
    }
}

impl<T> Inbox<T> {
    /// The next message; never resolves once every address is gone. One task reads an inbox.
    pub async fn receive(&self) -> T {
        std::future::poll_fn(|context| match self.queue.try_recv() {
            Ok(message) => Poll::Ready(message),
            Err(_) => {
                self.post.readers.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

type Answered = (Ticket, Option<Box<dyn Any + Send>>);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ticket {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
enum CallState {
    Free,
    Waiting(Option<Waker>),
    Done(Option<Box<dyn Any + Send>>),
}

/// One shard's post office: what it waits for from other threads.
#[derive(Debug)]
pub struct Post {
    bell: Arc<Doorbell>,
    answers: mpsc::Receiver<Answered>,
    answer_to: mpsc::Sender<Answered>,
    calls: RefCell<Vec<(u32, CallState)>>,
    free: RefCell<Vec<u32>>,
    readers: RefCell<Vec<Waker>>,
}

impl Post {
    /// The post office of the shard that `bell` wakes; made on the shard's thread.
    pub fn new(bell: Arc<Doorbell>) -> Rc<Post> {
        let (answer_to, answers) = mpsc::channel();
        Rc::new(Post {
            bell,
            answers,
            answer_to,
            calls: RefCell::default(),
            free: RefCell::default(),
            readers: RefCell::default(),
        })
    }

    /// The bell that wakes this shard.
    pub fn bell(&self) -> &Arc<Doorbell> {
        &self.bell
    }

    /// Hands out what came in; the driver calls it when the bell was rung.
    pub fn collect(&self) {
        while let Ok((ticket, value)) = self.answers.try_recv() {
            let mut calls = self.calls.borrow_mut();
            let (generation, state) = &mut calls[ticket.slot as usize];
            if *generation != ticket.generation {
                continue; // the caller went away
            }
            if let CallState::Waiting(waker) = std::mem::replace(state, CallState::Done(value)) {
                drop(calls);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
        }
        let readers = std::mem::take(&mut *self.readers.borrow_mut());
        for reader in readers {
            reader.wake();
        }
    }

    /// A slip to send along with a request, and the future of its answer (`None`: it was dropped unanswered).
    pub fn call<T: Send + 'static>(self: &Rc<Self>) -> (Reply<T>, Answer<T>) {
        let mut calls = self.calls.borrow_mut();
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            calls.push((0, CallState::Free));
            calls.len() as u32 - 1
        });
        let (generation, state) = &mut calls[slot as usize];
        *state = CallState::Waiting(None);
        let ticket = Ticket { slot, generation: *generation };
        let to = ReplyTo::Shard { ticket, queue: self.answer_to.clone(), bell: self.bell.clone() };
        (Reply { to: Some(to), kind: PhantomData }, Answer { post: self.clone(), ticket, kind: PhantomData })
    }
}

#[derive(Debug)]
enum ReplyTo<T> {
    Shard { ticket: Ticket, queue: mpsc::Sender<Answered>, bell: Arc<Doorbell> },
    Thread(mpsc::Sender<T>),
}

/// The right to answer one call, once.
#[derive(Debug)]
pub struct Reply<T: Send + 'static> {
    to: Option<ReplyTo<T>>,
    kind: PhantomData<T>,
}

impl<T: Send + 'static> Reply<T> {
    /// Answers; where the caller is gone the answer is dropped.
    pub fn send(mut self, value: T) {
        match self.to.take() {
            Some(ReplyTo::Shard { ticket, queue, bell }) => {
                let _ = queue.send((ticket, Some(Box::new(value))));
                bell.ring();
            }
            Some(ReplyTo::Thread(queue)) => {
                let _ = queue.send(value);
            }
            None => {}
        }
    }
}

impl<T: Send + 'static> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(ReplyTo::Shard { ticket, queue, bell }) = self.to.take() {
            let _ = queue.send((ticket, None));
            bell.ring();
        }
    }
}

/// A call from a thread that may block: wait on the receiver (an error: it was dropped unanswered).
pub fn blocking_call<T: Send + 'static>() -> (Reply<T>, mpsc::Receiver<T>) {
    let (sender, receiver) = mpsc::channel();
    (Reply { to: Some(ReplyTo::Thread(sender)), kind: PhantomData }, receiver)
}

/// The future of a call's answer.
#[derive(Debug)]
pub struct Answer<T> {
    post: Rc<Post>,
    ticket: Ticket,
    kind: PhantomData<T>,
}

impl<T> Unpin for Answer<T> {}

impl<T: Send + 'static> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut calls = self.post.calls.borrow_mut();
        match &mut calls[self.ticket.slot as usize].1 {
            CallState::Done(value) => {
                let value = value.take();
                Poll::Ready(value.and_then(|any| any.downcast::<T>().ok()).map(|boxed| *boxed))
            }
            CallState::Waiting(waker) => {
                waker.clone_from(&Some(context.waker().clone()));
                Poll::Pending
            }
            CallState::Free => unreachable!("an answer owns its slot until it is dropped"),
        }
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut calls = self.post.calls.borrow_mut();
        let (generation, state) = &mut calls[self.ticket.slot as usize];
        *generation = generation.wrapping_add(1);
        *state = CallState::Free;
        self.post.free.borrow_mut().push(self.ticket.slot);
    }
}
