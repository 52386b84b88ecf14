/// The product's version, as `-v`, Connect and `slipway --version` tell it.
public enum Version {
    /// Semantic version.
    public static let text = "0.1.0"
    /// The runtime's name as containerd knows it.
    public static let runtimeName = "io.containerd.slipway.v2"
}
