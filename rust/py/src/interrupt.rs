//! Ctrl-C during an evaluation: a flag that the running engine can read without Python's lock.
//! Depends on the system's signals only. Invariant: Python's own handler still sees every signal.

#[cfg(unix)]
mod system {
    use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};

    static PENDING: AtomicBool = AtomicBool::new(false);
    /// The handler that stood before ours, and its flags: what the chain calls.
    static PREVIOUS: AtomicUsize = AtomicUsize::new(0);
    static PREVIOUS_FLAGS: AtomicI32 = AtomicI32::new(0);

    extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
        PENDING.store(true, Ordering::Relaxed);
        let previous = PREVIOUS.load(Ordering::Relaxed);
        if PREVIOUS_FLAGS.load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 {
            // SAFETY: the address was installed as a handler of this kind; it is called as the system would have called it.
            let call: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(previous) };
            call(signal, info, context);
        } else {
            // SAFETY: as above, for a handler that takes the number alone.
            let call: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(previous) };
            call(signal);
        }
    }

    /// An evaluation begins: forgets a signal that Python has dealt with. The handler is looked at once in the process and then by `pending`,
    /// since that costs as much as a small evaluation.
    pub(crate) fn begin() {
        static FIRST: std::sync::Once = std::sync::Once::new();
        FIRST.call_once(watch);
        PENDING.store(false, Ordering::Relaxed);
    }

    /// Puts our handler in front of the one in force, unless it stands there or signals are left to the system.
    fn watch() {
        // SAFETY: an all-zero sigaction is a valid value to be filled in.
        let mut current: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: reads the disposition into a value of ours.
        if unsafe { libc::sigaction(libc::SIGINT, std::ptr::null(), &mut current) } != 0 {
            return;
        }
        let ours = handler as *const () as usize;
        if [ours, libc::SIG_DFL, libc::SIG_IGN].contains(&current.sa_sigaction) {
            return;
        }
        PREVIOUS.store(current.sa_sigaction, Ordering::Relaxed);
        PREVIOUS_FLAGS.store(current.sa_flags, Ordering::Relaxed);
        current.sa_sigaction = ours;
        current.sa_flags |= libc::SA_SIGINFO;
        // SAFETY: the handler only touches atomics and calls the one that stood before it.
        unsafe { libc::sigaction(libc::SIGINT, &current, std::ptr::null_mut()) };
    }

    /// Whether a signal came since `begin`. Asked during long evaluations only, before which a program may have changed the handler.
    pub(crate) fn pending() -> bool {
        watch();
        PENDING.load(Ordering::Relaxed)
    }
}

#[cfg(not(unix))]
mod system {
    /// Nothing to watch: Python deals with Ctrl-C after the evaluation.
    pub(crate) fn begin() {}
    /// Never.
    pub(crate) fn pending() -> bool {
        false
    }
}

pub(crate) use system::{begin, pending};
