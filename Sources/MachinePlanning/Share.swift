/// Divides `units` in proportion to weights, within capacities, at least one unit to each.
///
/// Largest remainder, so that no share is a whole unit from its proportion unless a capacity or the least unit forces it;
/// ties go to the lower index.
///
/// - Parameters:
///   - weights: positive, below 2^16.
///   - capacities: as many as weights.
/// - Returns: nil exactly when no division exists: fewer units than shares, a capacity of 0, or too little in all.
func proportionalShares(of units: UInt64, weights: [Int], capacities: [UInt64]) -> [UInt64]? {
    let total = capacities.reduce(UInt64(0)) { $0.addingReportingOverflow($1).overflow ? .max : $0 + $1 }
    guard UInt64(weights.count) <= units, !capacities.contains(0), total >= units else { return nil }
    var shares = [UInt64](repeating: 0, count: weights.count)
    var rest = units
    var open = Array(weights.indices)
    // Who cannot take its proportion takes all it can; that makes the others' proportions larger, so look again.
    while true {
        let weight = open.reduce(UInt64(0)) { $0 + UInt64(weights[$1]) }
        let full = open.filter { index in
            capacities[index].multipliedFullWidth(by: weight) < rest.multipliedFullWidth(by: UInt64(weights[index]))
        }
        guard !full.isEmpty else { break }
        for index in full {
            shares[index] = capacities[index]
            rest -= capacities[index]
        }
        open.removeAll(where: full.contains)
    }
    let weight = open.reduce(UInt64(0)) { $0 + UInt64(weights[$1]) }
    var remainders: [(index: Int, remainder: UInt64)] = []
    var given: UInt64 = 0
    for index in open {
        let product = rest.multipliedFullWidth(by: UInt64(weights[index]))
        let (quotient, remainder) = weight.dividingFullWidth(product)
        shares[index] = quotient
        given += quotient
        remainders.append((index, remainder))
    }
    remainders.sort { ($1.remainder, $0.index) < ($0.remainder, $1.index) }
    for (index, _) in remainders.prefix(Int(rest - given)) { shares[index] += 1 }
    // A cell without memory is none that a guest expects.
    while let empty = shares.firstIndex(of: 0) {
        guard let largest = shares.indices.max(by: { (shares[$0], $1) < (shares[$1], $0) }), shares[largest] > 1 else {
            return nil
        }
        shares[largest] -= 1
        shares[empty] = 1
    }
    return shares
}
