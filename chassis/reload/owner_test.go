//go:build unix

package reload

import (
	"os"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// nobody is a user that these tests do not run as.
const nobody = 65534

// foreign is a directory of another user, which only root can make.
func foreign(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		need.Missing(t, "only root can give a directory to somebody else")
	}
	dir := shortDir(t)
	must(t, os.Chmod(dir, 0o755))
	dir += "/foreign"
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.Chown(dir, nobody, nobody))
	return dir
}

func TestARunDirectoryOfAnotherUserIsRefusedToRootAsWell(t *testing.T) {
	dir := foreign(t)
	refused(t, "another user's", makeDirectory(dir), "it belongs to user 65534, not to 0; name one of your own")
	got := Directory("testd", func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": dir}[name] })
	if got != "/run/testd" {
		t.Errorf("with XDG_RUNTIME_DIR of another user the run directory is %s", got)
	}
}

func TestALinkInTheRunDirectoryIsNotFollowed(t *testing.T) {
	dir := shortDir(t)
	victim := shortDir(t) + "/victim"
	must(t, os.WriteFile(victim, []byte("precious\n"), 0o600))
	for _, name := range []string{lockName, lockPrefix + "journal", endedPrefix + "7.new", endedPrefix + "8"} {
		must(t, os.Symlink(victim, dir+"/"+name))
	}
	_, err := lockDirectory(dir)
	refused(t, "lock", err, "want a file, not a symbolic link; remove it")
	l, _ := linked(t, dir)
	_, err = l.Lock(within(t), "journal")
	refused(t, "exclusive-journal", err, "want a file, not a symbolic link")
	refused(t, "ended-7.new", leaveBehind(dir, 7, []byte("9")), "want a file, not a symbolic link")
	if left := collectLeft(dir); len(left) != 0 {
		t.Errorf("read %q from elsewhere", left[0].Data)
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "precious\n" {
		t.Errorf("the file that the links point at has %q, %v", text, err)
	}
}
