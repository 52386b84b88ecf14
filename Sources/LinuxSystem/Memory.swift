import CLinux

/// The process's own memory.
public enum Memory {
    /// Gives freed heap pages back to the kernel (malloc_trim(3)): worth it after a burst of work that will not come again.
    public static func trim() { slipway_trim_memory() }
}
