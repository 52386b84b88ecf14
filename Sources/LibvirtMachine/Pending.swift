import PodNetwork

extension NetworkRefusal {
    var link: String? { nil }
}
