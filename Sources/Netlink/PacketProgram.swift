/// A program of classic BPF that says of a frame whether it matches (bpf(4) of the BSDs, filter.rst of the kernel).
///
/// It sees the frame from its Ethernet header on, without the outermost VLAN tag where the kernel has put that beside the
/// frame. A program that reads behind the frame's end does not match.
public struct PacketProgram: Hashable, Sendable {
    /// One step, `struct sock_filter`.
    public struct Instruction: Hashable, Sendable {
        /// `BPF_…`: what is done.
        public var code: UInt16
        /// Instructions to skip when a comparison holds.
        public var skipIfTrue: UInt8 = 0
        /// Instructions to skip when it does not.
        public var skipIfFalse: UInt8 = 0
        /// The operand.
        public var operand: UInt32
    }

    /// The steps in order; the kernel takes at most ``maximumLength``.
    public let instructions: [Instruction]

    /// `BPF_MAXINSNS`.
    public static let maximumLength = 4096

    /// Matches every frame.
    public static let everything = PacketProgram { $0.match() }

    /// Writes a program. Every path has to end in ``Assembler/match()`` or ``Assembler/reject()``.
    public init(_ body: (inout Assembler) -> Void) {
        var assembler = Assembler()
        body(&assembler)
        instructions = assembler.resolved
    }

    static let matched = UInt32.max
    static let rejected: UInt32 = 0
}

extension PacketProgram {
    /// Writes instructions. There is an accumulator, an index register, and sixteen words of memory.
    public struct Assembler {
        /// How much is read.
        public enum Width: UInt16, Sendable {
            // swift-format-ignore: AllPublicDeclarationsHaveDocumentation
            case word = 0x00, half = 0x08, octet = 0x10
        }

        /// A place to jump to, forwards.
        public struct Label: Hashable, Sendable {
            fileprivate let number: Int
        }

        /// What the accumulator is compared with.
        public enum Condition: Sendable {
            /// It is this.
            case equals(UInt32)
            /// It is something else.
            case differs(UInt32)
            /// It is larger.
            case exceeds(UInt32)
            /// It is smaller.
            case isBelow(UInt32)
        }

        private var instructions: [Instruction] = []
        /// Where each label is; nil until it is placed.
        private var places: [Int?] = []
        private var jumps: [(at: Int, to: Label)] = []

        /// A label that is not placed yet.
        public mutating func label() -> Label {
            places.append(nil)
            return Label(number: places.count - 1)
        }

        /// The next instruction is where the label's jumps lead.
        public mutating func place(_ label: Label) { places[label.number] = instructions.count }

        /// accumulator = frame[offset]
        public mutating func load(_ width: Width, at offset: UInt32) { emit(0x20 | width.rawValue, offset) }

        /// accumulator = frame[index + offset]
        public mutating func load(_ width: Width, atIndexPlus offset: UInt32) { emit(0x40 | width.rawValue, offset) }

        /// accumulator = 1 when the kernel has put a VLAN tag beside the frame, else 0 (SKF_AD_VLAN_TAG_PRESENT)
        public mutating func loadTagPresence() { emit(0x20, 0xffff_f000 + 48) }

        /// accumulator = that tag's priority and number (SKF_AD_VLAN_TAG)
        public mutating func loadTag() { emit(0x20, 0xffff_f000 + 44) }

        /// accumulator &= mask
        public mutating func and(_ mask: UInt32) { emit(0x54, mask) }

        /// accumulator += number
        public mutating func add(_ number: UInt32) { emit(0x04, number) }

        /// accumulator <<= bits
        public mutating func shiftLeft(_ bits: UInt32) { emit(0x64, bits) }

        /// accumulator += index
        public mutating func addIndex() { emit(0x0c, 0) }

        /// index = number
        public mutating func setIndex(_ number: UInt32) { emit(0x01, number) }

        /// index = accumulator
        public mutating func moveToIndex() { emit(0x07, 0) }

        /// accumulator = index
        public mutating func moveFromIndex() { emit(0x87, 0) }

        /// memory[slot] = accumulator
        public mutating func store(_ slot: UInt32) { emit(0x02, slot) }

        /// accumulator = memory[slot]
        public mutating func recall(_ slot: UInt32) { emit(0x60, slot) }

        /// memory[slot] = index
        public mutating func storeIndex(_ slot: UInt32) { emit(0x03, slot) }

        /// index = memory[slot]
        public mutating func recallIndex(_ slot: UInt32) { emit(0x61, slot) }

        /// Goes to the label.
        public mutating func jump(to label: Label) {
            jumps.append((instructions.count, label))
            emit(0x05, 0)
        }

        /// Goes to the label when the condition holds. A comparison skips at most 255 instructions; one that skips a
        /// jump reaches everything.
        public mutating func jump(_ condition: Condition, to label: Label) {
            switch condition {
            case .equals(let value): emit(0x15, value, skipIfFalse: 1)
            case .differs(let value): emit(0x15, value, skipIfTrue: 1)
            case .exceeds(let value): emit(0x25, value, skipIfFalse: 1)
            case .isBelow(let value): emit(0x35, value, skipIfTrue: 1)
            }
            jump(to: label)
        }

        /// The frame matches.
        public mutating func match() { emit(0x06, PacketProgram.matched) }

        /// The frame does not match.
        public mutating func reject() { emit(0x06, PacketProgram.rejected) }

        private mutating func emit(_ code: UInt16, _ operand: UInt32, skipIfTrue: UInt8 = 0, skipIfFalse: UInt8 = 0) {
            instructions.append(
                Instruction(code: code, skipIfTrue: skipIfTrue, skipIfFalse: skipIfFalse, operand: operand))
        }

        /// With the distances of the jumps filled in. A label that nobody placed lies behind the end, which the kernel
        /// refuses.
        fileprivate var resolved: [Instruction] {
            var resolved = instructions
            for jump in jumps {
                let place = places[jump.to.number] ?? instructions.count
                resolved[jump.at].operand = UInt32(truncatingIfNeeded: place - jump.at - 1)
            }
            return resolved
        }
    }
}
