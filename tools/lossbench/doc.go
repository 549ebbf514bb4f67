// Package lossbench counts what is lost while a running service is replaced: it has clients of every kind
// that never retry, drives reloads of a process, and prints one table of what failed.
//
// [Start] starts the clients against a service; [Run] does so around a process that it starts and replaces
// again and again. The command is tools/cmd/lossbench, a service made for it is in package target:
//
//	go build -o out/bin/ ./tools/cmd/lossd ./tools/cmd/lossbench
//	out/bin/lossbench -target out/bin/lossd -reloads 20 -delay 2ms -json out/loss.json
//
// # What counts as failed
//
// Every request that is not answered as it should be, whatever the reason. A client that a proxy or a browser
// would hide behind a retry is not hidden here: HTTP/1 is spoken on bare connections, and a request that an
// HTTP/2 or gRPC client put on the wire a second time counts as failed with the cause "sent twice".
//
// Three things are no failures. A client that has seen the server's FIN on an idle connection before it writes
// connects anew, as every pool does that watches its connections, and so does one that has read a GOAWAY
// before it put anything of the request on the wire; [Result.SeenClose] counts that. A stream that ends as its
// protocol says (an event to reconnect, close codes 1001 and 1012, target.Moving with every message
// acknowledged) is opened again; [Result.Reopens] counts that. And a websocket message that the closing
// handshake overtakes is not counted at all, since RFC 6455, section 5.5.1, has the side that closes ignore
// what still arrives: its sender has to know which of its messages were answered.
//
// # Distance
//
// On loopback a FIN arrives before a client can write into a dying connection, which hides most losses. So
// [Options.Delay] holds every byte and every FIN back, in both directions.
package lossbench
