//! Which number of the configuration has a refused request passed? Whoever reads the log wants to know what to change.

use funicorn_http::Refusal;

use crate::config::WorkerConfig;

/// A number of a [`WorkerConfig`] that bounds what peers may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// [`Limits::request_line`](funicorn_http::Limits::request_line).
    RequestLine,
    /// [`Limits::header_field`](funicorn_http::Limits::header_field).
    HeaderField,
    /// [`Limits::header_count`](funicorn_http::Limits::header_count).
    HeaderCount,
    /// [`Limits::head`](funicorn_http::Limits::head).
    Head,
    /// [`Limits::body`](funicorn_http::Limits::body).
    Body,
    /// [`Limits::chunk_extension`](funicorn_http::Limits::chunk_extension).
    ChunkExtension,
    /// [`Limits::trailers`](funicorn_http::Limits::trailers).
    Trailers,
    /// [`WorkerLimits::spool`](crate::WorkerLimits::spool).
    Spool,
    /// [`Deadlines::head`](crate::Deadlines::head).
    HeadTime,
    /// [`Deadlines::body`](crate::Deadlines::body).
    BodyTime,
    /// [`Deadlines::min_body_rate`](crate::Deadlines::min_body_rate).
    MinBodyRate,
    /// [`Deadlines::request`](crate::Deadlines::request).
    RequestTime,
    /// [`Deadlines::queue`](crate::Deadlines::queue).
    QueueTime,
}

impl Bound {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::RequestLine,
        Self::HeaderField,
        Self::HeaderCount,
        Self::Head,
        Self::Body,
        Self::ChunkExtension,
        Self::Trailers,
        Self::Spool,
        Self::HeadTime,
        Self::BodyTime,
        Self::MinBodyRate,
        Self::RequestTime,
        Self::QueueTime,
    ];

    /// The one that a request has passed which is refused like this, where the refusal says it.
    pub(crate) fn of(refusal: Refusal, config: &WorkerConfig) -> Option<Self> {
        let limits = &config.limits.request;
        match refusal {
            Refusal::RequestLineTooLong if limits.head < limits.request_line => Some(Self::Head),
            Refusal::RequestLineTooLong => Some(Self::RequestLine),
            Refusal::FieldTooLarge => Some(Self::HeaderField),
            Refusal::TooManyFields => Some(Self::HeaderCount),
            Refusal::HeadTooLarge => Some(Self::Head),
            Refusal::BodyTooLarge => Some(Self::Body),
            Refusal::ChunkExtensionTooLong => Some(Self::ChunkExtension),
            Refusal::TrailersTooLarge => Some(Self::Trailers),
            Refusal::Overloaded => Some(Self::QueueTime),
            _ => None,
        }
    }

    /// The field, as a program sets it.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::RequestLine => "limits.request.request_line",
            Self::HeaderField => "limits.request.header_field",
            Self::HeaderCount => "limits.request.header_count",
            Self::Head => "limits.request.head",
            Self::Body => "limits.request.body",
            Self::ChunkExtension => "limits.request.chunk_extension",
            Self::Trailers => "limits.request.trailers",
            Self::Spool => "limits.spool",
            Self::HeadTime => "deadlines.head",
            Self::BodyTime => "deadlines.body",
            Self::MinBodyRate => "deadlines.min_body_rate",
            Self::RequestTime => "deadlines.request",
            Self::QueueTime => "deadlines.queue",
        }
    }

    /// Its value in `config`: bytes, a count, or seconds.
    pub(crate) fn value(self, config: &WorkerConfig) -> String {
        let (limits, request, times) = (&config.limits, &config.limits.request, &config.deadlines);
        match self {
            Self::RequestLine => request.request_line.to_string(),
            Self::HeaderField => request.header_field.to_string(),
            Self::HeaderCount => request.header_count.to_string(),
            Self::Head => request.head.to_string(),
            Self::Body => request.body.to_string(),
            Self::ChunkExtension => request.chunk_extension.to_string(),
            Self::Trailers => request.trailers.to_string(),
            Self::Spool => limits.spool.to_string(),
            Self::HeadTime => seconds(times.head),
            Self::BodyTime => seconds(times.body),
            Self::MinBodyRate => times.min_body_rate.to_string(),
            Self::RequestTime => seconds(times.request.unwrap_or_default()),
            Self::QueueTime => seconds(times.queue),
        }
    }
}

fn seconds(time: std::time::Duration) -> String {
    time.as_secs_f64().to_string()
}
