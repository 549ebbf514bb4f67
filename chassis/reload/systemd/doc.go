// Package systemd speaks the two small protocols by which systemd and a service talk.
//
// Both are made of environment variables and descriptors, so nothing is linked and nothing is
// needed when they are absent: started from a shell, in a container or on a system other than
// Linux, everything here says nothing, finds nothing and reports no error.
//
// # Telling what becomes of the service
//
// A unit with Type=notify counts as started when the service says so, not when its process
// exists. A [Notifier] says it, in datagrams to the socket that NOTIFY_SOCKET names (sd_notify(3)):
//
//	notifier, err := systemd.FromEnv(os.Getenv)
//	…
//	err = notifier.Ready("serving on :8080") // systemctl start returns now
//	…
//	err = notifier.Reloading()               // on SIGHUP
//	err = notifier.Ready("serving on :8080") // systemctl reload returns now
//	…
//	err = notifier.Stopping("draining")      // on SIGTERM
//
// The unit that goes with it; NotifyAccess=main, which Type=notify implies, hears the main process
// and no other:
//
//	[Service]
//	Type=notify-reload
//	ExecStart=/usr/bin/gamed
//	WatchdogSec=30s
//	FileDescriptorStoreMax=64
//
// Type=notify-reload came with systemd 253. Before it, a unit has Type=notify and an ExecReload
// that itself waits until the reload is over. With WatchdogSec, [Notifier.Watchdog] must be called
// every [Notifier.WatchdogInterval], or the service is killed as hung.
//
// A send reports that the datagram is in the service manager's queue. There is no answer: what
// systemd does not like it drops, with at most a line in its journal.
//
// # Being handed sockets
//
// A unit's .socket file makes systemd listen on behalf of the service and hand the listening
// sockets in when it starts it (sd_listen_fds(3)). [Sockets] takes them over, each under the name
// that FileDescriptorName= gave it:
//
//	handed, err := systemd.Sockets(os.Getenv)
//	for _, s := range handed {
//		l, err := net.FileListener(s.File) // has its own copy of the descriptor
//		s.File.Close()
//		…
//	}
//
// [Notifier.Store] goes the other way: systemd keeps a descriptor while the service is restarted, be
// it after kill -9, and hands it in among the others. That is how listening sockets outlive the
// process that made them. Stopping the service lets go of them, unless the unit says
// FileDescriptorStorePreserve=yes (systemd 254).
//
// # Child processes
//
// The variables describe one process. A child that inherits them would talk in its parent's name,
// or take descriptors for sockets that are none; give it [Clean] of the environment.
package systemd
