extension NetworkFollower {
    /// Times in milliseconds.
    struct Pace: Sendable {
        /// Silence after the kernel's last word before the namespace is read: plugins make a link in several steps.
        var settle: Int64 = 30
        /// The longest wait for silence.
        var patience: Int64 = 200
        /// How long a new link may take until it is switched on.
        var readiness: Int64 = 500
        /// How long after a device without a link has come it is looked whether the plugins have come to their end, and how
        /// long the device waits where nobody tells.
        var handover: (interval: Int64, silence: Int64) = (100, 500)
        /// The same for a function's link, on which nothing may change meanwhile: it vanishes when the function is taken.
        var quiet: Int64 = 3000
        /// How often the node's files are looked at where they cannot be watched.
        var round: Int64 = 1000
        /// How long QEMU may take to connect to a switch that has come back: it tries once a second.
        var reconnection: Int64 = 2500
        /// How long a NIC outlives its link: one that is made anew under its name meanwhile keeps the guest's device.
        var absence: Int64 = 800
        /// How long a guest may take to let go of a NIC before it is asked again.
        var release: Int64 = 5000
        /// The first and the longest pause before what failed is tried again.
        var retry: (first: Int64, longest: Int64) = (1000, 30_000)
        /// How long and how often the guest's agent is asked for a new NIC.
        var confirmation: (longest: Int64, interval: Int64) = (10_000, 250)
    }
}
