extension GuestNetwork {
    /// The metric of the default route that comes after a family's best one. Kernels give 0 to an IPv4 route without a
    /// metric and 1024 to an IPv6 one, NetworkManager 100 and more.
    private static let laterDefault = 2000

    /// The routes of each NIC in words that every guest understands.
    ///
    /// A gateway that no address reaches gets a link route to itself: `on-link` is known to netplan alone, and no part of
    /// cloud-init's schema. The default routes of a family keep their order, the first NIC's before those of the same
    /// metric, and the best one has no metric, which not every format can say and not every guest heeds.
    var advisedRoutes: [[Route]] {
        let ranks = [false, true].map { isV6 in
            interfaces.flatMap(\.routes).filter { $0.isDefault && $0.isV6 == isV6 }.map { $0.metric ?? $0.usualMetric }
                .sorted()
        }
        var used: [[Int: Int]] = [[:], [:]]
        return interfaces.map { interface in
            var routes: [Route] = []
            for var route in interface.routes {
                if let via = route.via, route.onLink {
                    let link = Route(to: via + (route.isV6 ? "/128" : "/32"))
                    if !routes.contains(link), !interface.routes.contains(link) { routes.append(link) }
                    route.onLink = false
                }
                if route.isDefault {
                    let (family, metric) = (route.isV6 ? 1 : 0, route.metric ?? route.usualMetric)
                    let rank = (ranks[family].firstIndex(of: metric) ?? 0) + used[family][metric, default: 0]
                    used[family][metric, default: 0] += 1
                    route.metric = rank == 0 ? nil : Self.laterDefault + rank - 1
                }
                routes.append(route)
            }
            // Some guests set them in this order.
            return routes.filter { $0.via == nil } + routes.filter { $0.via != nil }
        }
    }
}

extension String {
    /// Whether it is an address of IPv6.
    var isV6: Bool { contains(":") }
}

extension GuestNetwork.Route {
    /// Whether it is of IPv6.
    var isV6: Bool { to.isV6 }
    /// Whether it leads everywhere.
    var isDefault: Bool { to == "0.0.0.0/0" || to == "::/0" }
    /// What the kernel gives to a route without a metric.
    fileprivate var usualMetric: Int { isV6 ? 1024 : 0 }
    /// The gateway, or the unspecified address, which is "none, on the link" everywhere. Without one, cloud-init 22.4
    /// fails as a whole where it writes /etc/network/interfaces or ifcfg files.
    var gateway: String { via ?? (isV6 ? "::" : "0.0.0.0") }
}
