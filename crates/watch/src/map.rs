//! Tables by hash. Names in logs are chosen by strangers, who never see how long a table takes: a quick hash with a seed of its own for
//! each table is enough.

/// A table whose hash is quick.
pub(crate) type Map<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;
