//! What becomes of memory that a request gives back? The process keeps some of it for the next one.
//!
//! The GNU C library returns the end of its heap to the kernel whenever 128 KiB of it are free, and the next request pays a
//! page fault for every 4 KiB: with bodies or pages of 64 KiB that is most of the cost. It raises its limits when a
//! larger block is freed, though (mallopt(3), `M_MMAP_THRESHOLD`): so one is freed at the start. Whoever sets
//! these limits in the environment has the last word.

/// Afterwards blocks up to this size come from the heap, of which twice as much may be free. It is more than a body that is
/// kept in memory takes.
const LARGE: usize = 1 << 20;

/// Has this process keep up to two MiB that it has freed, for each thread. Other C libraries take no notice.
pub(crate) fn keep() {
    // Nothing is written there, so that it takes up no memory.
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE)));
}
