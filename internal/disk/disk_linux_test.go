package disk_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/disk"
)

func TestASmallDiskIsSoonFull(t *testing.T) {
	dir := disk.Mount(t, "size=64k")
	if err := os.WriteFile(dir+"/half", make([]byte, 32<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cat", dir+"/half").Output(); len(out) != 32<<10 || err != nil {
		t.Errorf("another process reads %d bytes, %v", len(out), err)
	}
	if err := os.WriteFile(dir+"/more", make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("more than fits: %v", err)
	}
}
