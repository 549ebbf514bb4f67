package systemd_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// What systemd hears of a service that starts, and is told to stop.
func Example() {
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: socket})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer manager.Close()

	getenv := func(name string) string { // os.Getenv in a service
		return map[string]string{"NOTIFY_SOCKET": socket, "WATCHDOG_USEC": "30000000"}[name]
	}
	notifier, err := systemd.FromEnv(getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("a sign of life is due every", notifier.WatchdogInterval())
	for _, err := range []error{notifier.Ready("serving on :8080"), notifier.Watchdog(), notifier.Stopping("draining")} {
		if err != nil {
			fmt.Println(err)
		}
	}

	message := make([]byte, 4096)
	for range 3 {
		n, err := manager.Read(message)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(strings.NewReplacer("\n", " | ", strconv.Itoa(os.Getpid()), "(this process)").Replace(string(message[:n])))
	}
	// Output:
	// a sign of life is due every 15s
	// READY=1 | STATUS=serving on :8080 | MAINPID=(this process)
	// WATCHDOG=1
	// STOPPING=1 | STATUS=draining
}

// A process started from a shell was handed nothing.
func ExampleSockets() {
	sockets, err := systemd.Sockets(func(string) string { return "" })
	fmt.Println(len(sockets), err)
	// Output:
	// 0 <nil>
}

// A child process gets the service's own configuration, and nothing that systemd said to the service.
func ExampleClean() {
	fmt.Println(systemd.Clean([]string{"LISTEN_ADDR=:8080", "LISTEN_FDS=1", "NOTIFY_SOCKET=/run/systemd/notify"}))
	// Output:
	// [LISTEN_ADDR=:8080]
}
