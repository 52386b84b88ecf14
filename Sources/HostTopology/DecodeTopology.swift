extension HostTopology {
    /// Reads a saved topology. What has a natural default (no CPU offline, no device …) may be left out, so that a host
    /// that somebody dreams of is quickly written; the whole is checked (``check()``).
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            nodes: try container.decode([HostNode].self, forKey: .nodes),
            cpus: try container.decode([HostCPU].self, forKey: .cpus),
            offline: try container.decodeIfPresent(CPUSet.self, forKey: .offline) ?? [],
            isolated: try container.decodeIfPresent(CPUSet.self, forKey: .isolated) ?? [],
            tickless: try container.decodeIfPresent(CPUSet.self, forKey: .tickless) ?? [],
            devices: try container.decodeIfPresent([HostDevice].self, forKey: .devices) ?? [],
            reservations: try container.decodeIfPresent([HugePageReservation].self, forKey: .reservations) ?? [])
        version = try container.decode(Int.self, forKey: .version)
        do throws(HostTopologyError) {
            try check()
        } catch {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(codingPath: decoder.codingPath, debugDescription: error.description))
        }
    }
}
