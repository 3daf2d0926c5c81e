//! Who starts the workers, replaces the dead and ends with them? The supervisor.

mod ending;

pub use ending::Ending;
