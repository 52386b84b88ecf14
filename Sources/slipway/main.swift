internal import Glibc
internal import SlipwayCommand

exit(slipwayMain(Array(CommandLine.arguments.dropFirst())))
