// Package buckettest checks implementations of logfile.Bucket: that nothing is stored but whole, that
// what is there is told as it is, and that what is not there is fs.ErrNotExist.
package buckettest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

// Run checks b, which must have nothing under keys that begin with buckettest/, and is left with a
// few objects there.
func Run(t *testing.T, b logfile.Bucket) {
	t.Helper()
	for _, err := range Check(t.Context(), b) {
		t.Error(err)
	}
}

// Check does what Run does, and returns what is wrong.
func Check(ctx context.Context, b logfile.Bucket) (wrong []error) {
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	is := func(what, key string, want logfile.Object) {
		got, err := b.Stat(ctx, key)
		switch {
		case want == logfile.Object{} && !errors.Is(err, fs.ErrNotExist):
			fail("%s: stat %s: %+v, %v; want fs.ErrNotExist", what, key, got, err)
		case want != logfile.Object{} && (got != want || err != nil):
			fail("%s: stat %s: %+v, %v; want %+v", what, key, got, err, want)
		}
	}
	put := func(what, key, text string, o logfile.Object) {
		if err := b.Put(ctx, key, strings.NewReader(text), o); err != nil {
			fail("%s: put %s: %v", what, key, err)
		}
	}
	refused := func(what, key string, body io.Reader, o logfile.Object) {
		if err := b.Put(ctx, key, body, o); err == nil {
			fail("%s: put %s: no error", what, key)
		}
	}

	const key = "buckettest/a/one.gz"
	one, two := "first\n", strings.Repeat("second\n", 100_000)
	is("before", key, logfile.Object{})
	put("new", key, one, Of(one))
	is("new", key, Of(one))
	put("the same again", key, one, Of(one))
	is("the same again", key, Of(one))
	put("replaced", key, two, Of(two))
	is("replaced", key, Of(two))
	is("a part of the key", "buckettest/a", logfile.Object{})
	is("a key behind it", key+"/b", logfile.Object{})

	broken := errors.New("broken")
	for what, body := range map[string]io.Reader{
		"a body that is too short":      strings.NewReader(one[:3]),
		"a body that is too long":       strings.NewReader(one + "x"),
		"a body of another text":        strings.NewReader(strings.ToUpper(one)),
		"a body that breaks off":        io.MultiReader(strings.NewReader(one[:3]), iotest.ErrReader(broken)),
		"a body that breaks at the end": io.MultiReader(strings.NewReader(one), iotest.ErrReader(broken)),
	} {
		const fresh = "buckettest/b/two.gz"
		refused(what, fresh, body, Of(one))
		is(what, fresh, logfile.Object{})
	}
	refused("a body of another text", key, strings.NewReader(one), logfile.Object{Size: int64(len(one)), SHA256: Of(two).SHA256})
	is("after a refusal", key, Of(two))

	ended, end := context.WithCancel(ctx)
	end()
	if err := b.Put(ended, "buckettest/c/three.gz", strings.NewReader(one), Of(one)); err == nil {
		fail("put with a context that has ended: no error")
	}
	is("a context that has ended", "buckettest/c/three.gz", logfile.Object{})
	if _, err := b.Stat(ended, key); err == nil || errors.Is(err, fs.ErrNotExist) {
		fail("stat with a context that has ended: %v", err)
	}
	put("nothing", "buckettest/d/empty.gz", "", Of(""))
	is("nothing", "buckettest/d/empty.gz", Of(""))
	return wrong
}

// Of is the object that text makes.
func Of(text string) logfile.Object {
	sum := sha256.Sum256([]byte(text))
	return logfile.Object{Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
}
