//! A session beside what a test does: it says NOOP over and over, and measures how long each takes.

use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Imap, Server, USER};

/// Between two of them, so that it is no load itself.
const PAUSE: Duration = Duration::from_millis(2);

/// A session that goes on until it is asked.
pub struct Bystander {
    stop: Sender<()>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Bystander {
    pub fn begin(server: &Server) -> Bystander {
        let (port, password) = (server.port(143), server.password());
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut imap = Imap::connect(port).expect("a connection");
            imap.login(USER, &password);
            let (mut count, mut longest) = (0, Duration::ZERO);
            while stopped.try_recv() == Err(TryRecvError::Empty) {
                let begin = Instant::now();
                imap.ok("NOOP");
                longest = longest.max(begin.elapsed());
                count += 1;
                std::thread::sleep(PAUSE);
            }
            (count, longest)
        });
        Bystander { stop, thread }
    }

    /// It was served all the while, and no NOOP took `most`.
    pub fn assert_served(self, most: Duration) {
        self.stop.send(()).expect("the other session");
        let (count, longest) = self.thread.join().expect("the other session");
        println!("{count} NOOPs meanwhile, the longest took {longest:?}");
        assert!(count > 0 && longest < most, "one of {count} NOOPs took {longest:?}");
    }
}
