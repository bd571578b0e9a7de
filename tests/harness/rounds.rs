//! How often a campaign does what it does: few times by default, as often as the environment says in the long form.

/// The number of rounds that `variable` asks for, or `few`.
#[allow(
    clippy::disallowed_methods,
    reason = "how long tests run is chosen through the environment, in one place"
)]
pub(crate) fn of(variable: &str, few: usize) -> usize {
    std::env::var(variable).map_or(few, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is not a number of rounds"))
    })
}
