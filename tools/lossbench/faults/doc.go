// Package faults holds no code but tests: what a reload promises, fault by fault, with real processes and
// clients that never retry.
//
// Each test starts a daemon of its own (package target under chassis.Main, as the test binary in another
// role), has the clients of package lossbench ask it, reloads it, and says how many requests may fail: none,
// unless what it does to the daemon cannot be survived by what was inside. The files are named for what they
// are about: traffic_*_test.go for kinds of clients, process_*_test.go for what happens to processes.
//
//	go test ./tools/lossbench/faults
//	FAULTS_RELOADS=50 go test -v -run Loses ./tools/lossbench/faults   # for longer, with the figures
package faults
