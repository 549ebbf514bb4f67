package accesslog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

func ExampleFile() {
	dir, err := os.MkdirTemp("", "log")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "access.log")
	file, err := accesslog.OpenFile(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	log := accesslog.NewWriter(file, accesslog.Options{})
	log.Log(&accesslog.Record{Method: "GET", URI: "/before", Start: time.Unix(0, 0).UTC()})
	_ = log.Flush(context.Background())
	_ = os.Rename(path, path+".1") // rotation
	log.Log(&accesslog.Record{Method: "GET", URI: "/after", Start: time.Unix(0, 0).UTC()})
	_ = log.Close(context.Background())
	for _, name := range []string{path + ".1", path} {
		text, err := os.ReadFile(name)
		fmt.Print(string(text))
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// - - - [01/Jan/1970:00:00:00 +0000] "GET /before" - - "-" "-"
	// - - - [01/Jan/1970:00:00:00 +0000] "GET /after" - - "-" "-"
}

func openFile(t *testing.T, path string) *accesslog.File {
	t.Helper()
	f, err := accesslog.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, f *accesslog.File, text string) {
	t.Helper()
	if n, err := f.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %q: %v", n, text, err)
	}
}

func TestAFileIsFoundAgainAfterWhateverHappenedToIt(t *testing.T) {
	for name, happen := range map[string]func(path string) error{
		"removed":               os.Remove,
		"renamed":               func(path string) error { return os.Rename(path, path+".1") },
		"replaced":              func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"its directory removed": func(path string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(path))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "var", "log")
			if err := os.MkdirAll(dir, 0o710); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "access.log")
			f := openFile(t, path)
			write(t, f, "a\n")
			write(t, f, "b") // torn
			if got := content(t, path); got != "a\nb" {
				t.Fatalf("the file holds %q", got)
			}
			if err := happen(path); err != nil {
				t.Fatal(err)
			}
			write(t, f, "\nc\n")
			if got := content(t, path); got != "c\n" {
				t.Errorf("the new file holds %q, want the whole line alone", got)
			}
			info, err := os.Stat(dir)
			if err != nil || info.Mode().Perm() != 0o710 {
				t.Errorf("the directory has mode %v, %v", info.Mode(), err)
			}
			write(t, f, "\nd\n")
			if got := content(t, path); got != "c\n\nd\n" {
				t.Errorf("the file holds %q", got)
			}
		})
	}
}

func TestAFileThatCannotBeOpenedIsTriedAtEachWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "access.log")
	f := openFile(t, path)
	// A file where the directory was.
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	write(t, f, "kept: ENOTDIR does not say that the file is gone\n")
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	// A directory where the file was.
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if n, err := f.Write([]byte("lost\n")); n != 0 || err == nil {
			t.Errorf("wrote %d, %v to a directory", n, err)
		}
	}
	// No directory, and none can be made.
	if err := errors.Join(os.RemoveAll(dir), os.Symlink("/nonexistent/dir/log", dir)); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Write([]byte("lost\n")); n != 0 || err == nil {
		t.Errorf("wrote %d, %v beyond a broken link", n, err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	write(t, f, "healed\n")
	if got := content(t, path); got != "healed\n" {
		t.Errorf("the file holds %q", got)
	}
}

func TestAFileThatIsClosedTakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	f := openFile(t, path)
	for range 2 {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := f.Write([]byte("x\n")); n != 0 || !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), path) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	gone := openFile(t, path)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Write([]byte("x\n")); err == nil {
		t.Error("wrote to a directory")
	}
	if err := gone.Close(); err != nil {
		t.Errorf("closing a file that is not open: %v", err)
	}
	if _, err := accesslog.OpenFile("/nonexistent/access.log"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
