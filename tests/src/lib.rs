//! Tests of many agencies and nodes on one machine.

#[cfg(test)]
mod desk_connection;
