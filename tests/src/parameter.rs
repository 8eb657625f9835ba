//! How much the long tests do: from the environment, read here and nowhere else; and with
//! what they were made.

/// The number in the variable `name`, or `default` if there is none.
pub(crate) fn parameter(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one place of the tests")]
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect(name))
}

/// Says, where a failed test shows it, what a repetition has to know.
#[expect(
    clippy::print_stdout,
    reason = "kept by the test runner, shown on failure"
)]
pub(crate) fn note(text: &str) {
    println!("{text}");
}
