//! Prints kernels as WGSL text; nothing else knows the language's syntax.
//! Depends on `plan` and `group`. Invariant: equal kernel structure, equal text (sizes come as parameters).
