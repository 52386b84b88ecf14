/// Steps that take back what was done, run in reverse order when a later step fails.
struct Undo {
    private var steps: [() -> Void] = []

    /// Remembers how to take back what has just been done.
    mutating func add(_ step: @escaping () -> Void) { steps.append(step) }

    /// Takes everything back.
    mutating func run() {
        for step in steps.reversed() { step() }
        steps = []
    }
}
