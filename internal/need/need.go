// Package need ends tests for want of something outside of them: a program, a right, a device. Where
// nothing may be left out, which CI=true says, that is a failure; elsewhere it is a skip that says
// what to do about it.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Missing ends t, saying what is missing and how to get it.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Program returns the path of a program, which Debian has in the named package. Where only root looks
// for daemons is looked at as well.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, name))
		}
	}
	if err != nil {
		Missing(t, "%s is not installed: apt-get install %s", name, debian)
	}
	return path
}

// Built returns the path of a program that .ci/install puts into out/bin of this repository, if it is not
// found elsewhere.
func Built(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if path, err := exec.LookPath(filepath.Join(dir, "out", "bin", name)); err == nil {
			return path
		}
		if dir == filepath.Dir(dir) {
			Missing(t, "%s is not installed: .ci/install %s", name, name)
		}
	}
}
