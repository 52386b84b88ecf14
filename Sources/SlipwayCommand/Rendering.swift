internal import ArgumentParser
internal import FoundationEssentials

/// How lists are printed.
enum OutputFormat: String, CaseIterable, Sendable, ExpressibleByArgument {
    /// Columns for people.
    case table
    /// More columns for people.
    case wide
    /// One JSON array for programs.
    case json
}

/// Something that can be a row of a table and an element of a JSON array.
protocol Renderable: Encodable {
    /// Column titles, those of `wide` alone last.
    static var columns: [String] { get }
    /// How many columns `table` shows.
    static var tableColumns: Int { get }
    /// One cell for each column.
    var cells: [String] { get }
}

/// The one place where lists become text.
enum Rendering {
    /// The text without a newline at its end.
    static func text<Row: Renderable>(_ rows: [Row], as format: OutputFormat) throws -> String {
        switch format {
        case .table: return table(Row.self, rows, Row.tableColumns)
        case .wide: return table(Row.self, rows, Row.columns.count)
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(rows), as: UTF8.self)
        }
    }

    private static func table<Row: Renderable>(_ type: Row.Type, _ rows: [Row], _ count: Int) -> String {
        let lines = [Array(Row.columns.prefix(count))] + rows.map { Array($0.cells.prefix(count)) }
        let widths = (0..<count).map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { cells in
            var line = ""
            for (cell, width) in zip(cells, widths) {
                line += cell + String(repeating: " ", count: width - cell.count + 3)
            }
            while line.last == " " { line.removeLast() }
            return line
        }.joined(separator: "\n")
    }

    /// A time span as people say it: the largest unit, and the next one while the number is small.
    static func age(seconds: Int64) -> String {
        let seconds = max(seconds, 0)
        switch seconds {
        case ..<120: return "\(seconds)s"
        case ..<600: return "\(seconds / 60)m\(seconds % 60)s"
        case ..<7200: return "\(seconds / 60)m"
        case ..<86_400: return "\(seconds / 3600)h"
        case ..<172_800: return "1d\(seconds % 86_400 / 3600)h"
        default: return "\(seconds / 86_400)d"
        }
    }
}
