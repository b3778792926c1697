//! Executes plans on the CPU: tiles of Groups, matrix products, buffers.
//! Depends on `kit`, `plan`, `group`. Invariant: results do not depend on the number of threads.
