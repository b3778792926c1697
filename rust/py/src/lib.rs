//! Python bindings of adret.
