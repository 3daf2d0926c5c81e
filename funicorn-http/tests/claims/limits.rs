//! Which limits do the claims hold under, and what follows from them for the caller?

use funicorn_http::Limits;

/// Small enough to be met by chance.
pub(crate) fn small_limits() -> Limits {
    let mut limits = Limits::default();
    limits.request_line = 40;
    limits.header_field = 40;
    limits.header_count = 6;
    limits.head = 120;
    limits.body = 40;
    limits.chunk_extension = 6;
    limits.trailers = 30;
    limits
}

/// The most bytes that a session may leave with its caller when it asks for more. A line may have had its CR, or the
/// section its last CRLF but one, when a limit is met.
pub(crate) fn most_kept(limits: &Limits) -> usize {
    limits.head.max(limits.trailers) + 3
}
