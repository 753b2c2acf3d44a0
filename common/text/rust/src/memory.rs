//! Bounds what a call allocates for untrusted input: one instruction of a template doubles a string,
//! one rule of a normaliser repeats a text for each of its letters, and neither asks how much memory
//! that takes.
//!
//! `limited` gives the thread a budget. The allocator of this library refuses what is beyond it, and
//! the refusal unwinds as a panic that `guarded` (lib.rs) turns into an error. Out of a budget, and
//! where the machine has no memory left, nothing changes: the process ends. The hook that tells these
//! two apart is not a stable part of Rust's library; Rust's compiler takes it for this crate because
//! CMakeLists.txt names the crate in RUSTC_BOOTSTRAP.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[derive(Clone, Copy)]
pub struct Budget {
    /// Bytes held at the same time.
    pub held: usize,
    /// Bytes of all allocations together, which bounds the time that copies take.
    pub total: usize,
}

/// What a panic carries when the budget is used up.
pub struct OverBudget(pub Budget);

struct Account {
    active: Cell<bool>,
    budget: Cell<Budget>,
    held: Cell<usize>,
    total: Cell<usize>,
}

thread_local! {
    static ACCOUNT: Account = const { Account {
        active: Cell::new(false),
        budget: Cell::new(Budget { held: 0, total: 0 }),
        held: Cell::new(0),
        total: Cell::new(0),
    } };
}

impl Account {
    /// Whether `grown` more bytes, which need an allocation of `size`, are within the budget.
    fn take(&self, size: usize, grown: usize) -> bool {
        if !self.active.get() {
            return true;
        }
        let (held, total) =
            (self.held.get().saturating_add(grown), self.total.get().saturating_add(size));
        if held > self.budget.get().held || total > self.budget.get().total {
            return false;
        }
        self.held.set(held);
        self.total.set(total);
        true
    }

    /// What was allocated before the budget began may be freed in it.
    fn give(&self, size: usize) {
        if self.active.get() {
            self.held.set(self.held.get().saturating_sub(size));
        }
    }
}

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !ACCOUNT.with(|account| account.take(layout.size(), layout.size())) {
            return std::ptr::null_mut();
        }
        System.alloc(layout)
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !ACCOUNT.with(|account| account.take(layout.size(), layout.size())) {
            return std::ptr::null_mut();
        }
        System.alloc_zeroed(layout)
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ACCOUNT.with(|account| account.give(layout.size()));
        System.dealloc(pointer, layout)
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let grown = size.saturating_sub(layout.size());
        if !ACCOUNT.with(|account| account.take(if grown > 0 { size } else { 0 }, grown)) {
            return std::ptr::null_mut();
        }
        ACCOUNT.with(|account| account.give(layout.size().saturating_sub(size)));
        System.realloc(pointer, layout, size)
    }
}

/// Ends the budget of this thread when it goes out of scope, by a return or a panic.
struct Scope;

impl Drop for Scope {
    fn drop(&mut self) {
        ACCOUNT.with(|account| account.active.set(false));
    }
}

/// Runs `body` with a budget of this thread. Threads that `body` starts have none.
pub fn limited<T>(budget: Budget, body: impl FnOnce() -> T) -> T {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::alloc::set_alloc_error_hook(|_| {
            let over = ACCOUNT.with(|account| account.active.replace(false).then(|| account.budget.get()));
            if let Some(budget) = over {
                std::panic::panic_any(OverBudget(budget));
            }
        })
    });
    ACCOUNT.with(|account| {
        assert!(!account.active.get(), "a budget within a budget");
        account.budget.set(budget);
        account.held.set(0);
        account.total.set(0);
        account.active.set(true);
    });
    let _scope = Scope;
    body()
}
