//! Arenas, one a command: what a parser makes lives here until the command is done.
//!
//! Nothing with `Drop` goes in, but for the futures of the command itself ([`Arena::hold`]). A shard pools them, so that an
//! idle connection holds none and steady work allocates nothing; one that grew past `ARENA_BYTES_KEPT` is freed rather than
//! kept.

use std::cell::RefCell;
use std::ops::Deref;
use std::pin::Pin;
use std::rc::Rc;

use bumpalo::Bump;
use bumpalo::boxed::Box;

use crate::limits;

/// A shard's arenas.
#[derive(Clone, Debug, Default)]
pub struct Arenas(Rc<RefCell<Vec<Bump>>>);

/// One arena, given back (reset) on drop.
#[derive(Debug)]
pub struct Arena {
    bump: Option<Bump>,
    pool: Arenas,
}

impl Arenas {
    /// An empty arena.
    pub fn take(&self) -> Arena {
        let bump = self.0.borrow_mut().pop().unwrap_or_else(|| {
            let bump = Bump::with_capacity(limits::ARENA_BYTES);
            bump.set_allocation_limit(Some(limits::ARENA_BYTES_MAX));
            bump
        });
        Arena { bump: Some(bump), pool: self.clone() }
    }
}

impl Arena {
    /// Puts a future here, to be waited for: the session, which is idle most of the time, has no room for it.
    pub fn hold<'a, F: Future + 'a>(&'a self, future: F) -> Pin<Box<'a, F>> {
        Box::pin_in(future, self)
    }
}

impl Deref for Arena {
    type Target = Bump;

    fn deref(&self) -> &Bump {
        self.bump.as_ref().expect("an arena has its memory until it is dropped")
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let Some(mut bump) = self.bump.take() else { return };
        bump.reset();
        let mut pool = self.pool.0.borrow_mut();
        if bump.allocated_bytes() <= limits::ARENA_BYTES_KEPT && pool.len() < limits::ARENAS_POOLED_MAX {
            pool.push(bump);
        }
    }
}
