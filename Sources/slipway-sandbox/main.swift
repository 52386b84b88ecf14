import Glibc
import SandboxProcess

exit(SandboxProcess.main(CommandLine.arguments))
