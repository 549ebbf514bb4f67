// Package reload replaces the process of a running service without losing a request.
//
// A supervisor, which is the process that was started, owns the listening sockets and runs no code
// of the service. The service runs in workers, processes of the same program. To reload is to start
// another worker, which reads everything anew (binary, configuration, certificates), and to have
// the old one drain once the new one has said that it is ready:
//
//	supervisor ──start──▶ worker 2      reads, sets up, asks for its listeners
//	           ◀──ready── worker 2      from here on there is no way back
//	           ──commit─▶ worker 2      accepts
//	           ──drain──▶ worker 1      stops accepting, hands idle connections to worker 2, finishes
//	                                    what it began, says what it has counted, and ends
//
// When the new worker fails before it is ready, nothing has happened to the old one, and whoever
// asked learns why. Package drain says how connections leave; package chassis puts both together,
// so that a service has it by calling chassis.Main.
//
// # What happens when something dies
//
// A worker that dies is started again: at once, then with growing pauses, and after three crashes
// in a row from the binary that served before, if there was another. The listening sockets stay open
// meanwhile, so that clients wait instead of being refused.
//
// When the supervisor dies, workers go on serving. Each waits in the run directory for the next
// supervisor, which takes them over with their sockets. It is the one process that has the lock
// there. Only as the first process of a PID namespace (a container) does the supervisor take its
// workers with it, as the kernel wants it.
//
// SIGUSR2 has the supervisor replace its own code by execve(2): the process, its children and its
// sockets stay. In the few milliseconds until the new code listens to signals, a SIGHUP is lost,
// which a reload that follows in any case makes up for. A SIGTERM is lost as well, or ends the
// supervisor but not its workers, as SIGKILL would: Go's runtime neither leaves it ignored nor
// blocked. So do not stop a service in the moment of such a replacement; if it happened, start it,
// which takes the workers over, and stop it again.
//
// # Other systems
//
// The package works on unix systems; what it needs of Linux (running a binary whose file was
// replaced) it does without elsewhere. On others it is empty.
package reload
