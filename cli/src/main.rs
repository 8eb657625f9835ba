//! `waypost`: the officer's and the administrator's tool.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "called by the command that drafts a referral")
)]
mod adapter;

fn main() {}
