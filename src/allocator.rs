//! Returns unused memory of the allocator to the system.

/// Returns unused memory to the system. glibc would keep the peak of a first sync, some 50 MB (mallopt(3): only the top
/// of the heap is trimmed automatically); this takes well below a millisecond.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "malloc_trim(3) has no condition that a caller could break")]
    unsafe {
        libc::malloc_trim(0);
    }
}
