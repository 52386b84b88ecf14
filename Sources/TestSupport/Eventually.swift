/// Waits until a condition holds, asking again every few milliseconds. For what announces itself by no event; a test
/// that knows an event waits for that.
///
/// - Parameters:
///   - deadline: how long at most; generous, since it costs nothing where the condition comes to hold.
///   - pause: between two questions. Longer for servers that take many quick ones for an attack, as gRPC's do.
///   - condition: what is waited for.
/// - Returns: whether it came to hold in time.
public func eventually(
    within deadline: Duration = .seconds(10), every pause: Duration = .milliseconds(2),
    isolation: isolated (any Actor)? = #isolation,
    _ condition: () async throws -> Bool
) async rethrows -> Bool {
    let end = ContinuousClock.now + deadline
    while try await !condition() {
        guard ContinuousClock.now < end else { return false }
        try? await Task.sleep(for: pause)
    }
    return true
}
