import Glibc
import ShimFront

exit(ShimFront.main(CommandLine.arguments))
