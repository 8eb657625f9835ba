//! Writes that fail, for tests: once as "not done", once as "done, and reported failed".

use std::cell::Cell;
use std::io;

/// When a write fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Before,
    After,
}

thread_local! {
    static FAULT: Cell<Option<(u32, When)>> = const { Cell::new(None) };
    static WRITES: Cell<u32> = const { Cell::new(0) };
}

/// Lets this thread's write of that number, from 1, fail; none, no more.
pub(crate) fn plan(fault: Option<(u32, When)>) {
    FAULT.set(fault);
    WRITES.set(0);
}

/// How many writes there were since.
pub(crate) fn writes() -> u32 {
    WRITES.get()
}

pub(super) fn before() -> io::Result<()> {
    WRITES.set(WRITES.get() + 1);
    strike(When::Before)
}

pub(super) fn after() -> io::Result<()> {
    strike(When::After)
}

fn strike(when: When) -> io::Result<()> {
    if FAULT.get() == Some((WRITES.get(), when)) {
        Err(io::Error::other("a fault of the test"))
    } else {
        Ok(())
    }
}
