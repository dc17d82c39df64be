//! Backends of [`tidegate_filter::store::Store`]. One conformance suite (`tests/stores`) holds for all of them.

pub mod embedded;
