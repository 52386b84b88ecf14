import Cgroup
import SwiftProtobuf
import TTRPC
extension Google_Protobuf_Any {
    init(metrics: CgroupMetrics) throws { throw StatusError(.unimplemented, "later") }
}
