//! Adapters: other systems' forms into ours. Each is a table that names every field it reads, and
//! says of every field that it does not carry why.

pub(crate) mod uk_nrm;
