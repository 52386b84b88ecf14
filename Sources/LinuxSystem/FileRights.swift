import CLinux

/// Whose rights to files a thread has.
public enum FileRights {
    /// Runs a function with the rights to files that a user without capabilities has; what it makes is that user's. Of the
    /// calling thread alone.
    public static func of<Value>(
        user: UInt32, group: UInt32, _ body: () throws(SystemError) -> Value
    ) throws(SystemError) -> Value {
        var (oldUser, oldGroup): (UInt32, UInt32) = (0, 0)
        slipway_set_file_ids(user, group, &oldUser, &oldGroup)
        defer { slipway_set_file_ids(oldUser, oldGroup, nil, nil) }
        return try body()
    }
}
