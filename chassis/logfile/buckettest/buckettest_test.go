package buckettest_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/chassis/logfile/buckettest"
)

func ExampleCheck() {
	dir, err := os.MkdirTemp("", "bucket")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	fmt.Println(buckettest.Check(context.Background(), logfile.NewDir(dir)))
	// Output: []
}

func TestADirectoryIsABucket(t *testing.T) { buckettest.Run(t, logfile.NewDir(t.TempDir())) }

// loose stores whatever comes and believes what it is told.
type loose map[string]logfile.Object

func (l loose) Put(_ context.Context, key string, body io.Reader, o logfile.Object) error {
	_, _ = io.Copy(io.Discard, body)
	l[key] = o
	return nil
}

func (l loose) Stat(_ context.Context, key string) (logfile.Object, error) {
	return l[key], nil
}

// none stores nothing.
type none struct{}

func (none) Put(context.Context, string, io.Reader, logfile.Object) error { return fs.ErrPermission }

func (none) Stat(context.Context, string) (logfile.Object, error) {
	return logfile.Object{}, fs.ErrNotExist
}

func TestBucketsThatAreNoneAreToldWhatIsWrong(t *testing.T) {
	for want, b := range map[string]logfile.Bucket{
		"a body that is too short: put buckettest/b/two.gz: no error": loose{},
		"before: stat buckettest/a/one.gz: {Size:0 SHA256:}, <nil>;":  loose{},
		"put with a context that has ended: no error":                 loose{},
		"new: put buckettest/a/one.gz: permission denied":             none{},
		"new: stat buckettest/a/one.gz: {Size:0 SHA256:}, file does ": none{},
	} {
		var all []string
		for _, err := range buckettest.Check(t.Context(), b) {
			all = append(all, err.Error())
		}
		if !strings.Contains("\n"+strings.Join(all, "\n"), "\n"+want) {
			t.Errorf("%q, want %s", all, want)
		}
	}
}
