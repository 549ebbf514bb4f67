package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/chassis/logfile/buckettest"
	"github.com/seed-754044b3/roadworthy/chassis/logfile/s3"
	"github.com/seed-754044b3/roadworthy/internal/objectstore"
)

func ExampleOpen() {
	bucket, err := s3.Open(s3.Config{Endpoint: "https://s3.example.com", Bucket: "logs", Key: "key", Secret: config.NewSecret("secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := logfile.NewCollector(logfile.CollectorOptions{Dir: "/var/log/games", Bucket: bucket, Prefix: "games/host1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Stats().Waiting)
	// Output: 0
}

func configOf(s *objectstore.Store) s3.Config {
	return s3.Config{Endpoint: s.Endpoint, Bucket: "logs", Key: s.Key, Secret: config.NewSecret(s.Secret)}
}

func open(t *testing.T, c s3.Config) *s3.Bucket {
	t.Helper()
	b, err := s3.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARealStoreIsABucket(t *testing.T) {
	store := objectstore.Start(t, "logs")
	b := open(t, configOf(store))
	buckettest.Run(t, b)

	// A body in which a bit has changed on its way is refused by the store, and what is there is not replaced.
	text := "a line\n"
	if err := b.Put(t.Context(), "a/b.gz", strings.NewReader("another"), buckettest.Of(text)); err == nil || !strings.Contains(err.Error(), "put a/b.gz: ") {
		t.Errorf("another text of the same size: %v", err)
	}
	if err := b.Put(t.Context(), "a/b.gz", strings.NewReader(text), logfile.Object{Size: 7, SHA256: "xyz"}); err == nil || !strings.Contains(err.Error(), "want 64 hex digits") {
		t.Errorf("no checksum: %v", err)
	}
	store.Down(t)
	if err := b.Put(t.Context(), "a/c.gz", strings.NewReader(text), buckettest.Of(text)); err == nil {
		t.Error("put while the store is down: no error")
	}
	if _, err := b.Stat(t.Context(), "a/c.gz"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat while the store is down: %v", err)
	}
	store.Up(t)
	if err := b.Put(t.Context(), "a/c.gz", strings.NewReader(text), buckettest.Of(text)); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(store.Root, "logs/a/c.gz")); string(got) != text || err != nil {
		t.Errorf("the store has %q, %v", got, err)
	}
	wrong := configOf(store)
	wrong.Secret = config.NewSecret("another")
	if _, err := open(t, wrong).Stat(t.Context(), "a/c.gz"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with another secret: %v", err)
	}
	if _, err := open(t, wrong).Stat(t.Context(), "a/none.gz"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("with another secret: %v", err)
	}
	wrong = configOf(store)
	wrong.Bucket = "none"
	if err := open(t, wrong).Put(t.Context(), "a/c.gz", strings.NewReader(text), buckettest.Of(text)); err == nil {
		t.Error("put into a bucket that is not there: no error")
	}
}

// A store of before 2022 keeps no checksums.
func TestAStoreWithoutChecksumsIsReadBack(t *testing.T) {
	objects := map[string][]byte{}
	broken := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, there := objects[r.URL.Path]
		switch {
		case r.Method == http.MethodPut:
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			objects[r.URL.Path] = body
			w.Header().Set("ETag", `"x"`)
		case !there:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodGet && broken:
			w.WriteHeader(http.StatusForbidden)
		default:
			w.Header().Set("ETag", `"x"`)
			w.Header().Set("Last-Modified", "Sat, 28 Nov 2026 15:33:51 GMT")
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			_, _ = w.Write(text)
		}
	}))
	defer server.Close()
	b := open(t, s3.Config{Endpoint: server.URL, Bucket: "logs", Key: "k", Secret: config.NewSecret("s")})
	const text = "a line\n"
	if err := b.Put(t.Context(), "a.gz", strings.NewReader(text), buckettest.Of(text)); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Stat(t.Context(), "a.gz"); got != buckettest.Of(text) || err != nil {
		t.Errorf("%+v, %v, want %+v", got, err, buckettest.Of(text))
	}
	objects["/logs/a.gz"] = bytes.ToUpper(objects["/logs/a.gz"])
	if got, err := b.Stat(t.Context(), "a.gz"); got == buckettest.Of(text) || err != nil {
		t.Errorf("of an object that has changed: %+v, %v", got, err)
	}
	broken = true
	if _, err := b.Stat(t.Context(), "a.gz"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of one that cannot be read: %v", err)
	}
}

func TestConfigurationsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, c := range map[string]s3.Config{
		"endpoint: want https://host[:port] without a path, got \"x:1\"": {Endpoint: "x:1", Bucket: "b"},
		"endpoint: want https://host[:port] without a path, got \"\"":    {Bucket: "b"},
		"bucket: want the name of a bucket":                              {Endpoint: "https://x"},
		"secret: want both a key and its secret, or neither":             {Endpoint: "https://x", Bucket: "b", Key: "k"},
	} {
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		if _, err := s3.Open(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("opened: %v, want %s", err, want)
		}
	}
	var none s3.Config
	none.SetDefaults()
	if none.Enabled() || none.Validate() != nil || none.Region != "us-east-1" {
		t.Errorf("%+v: %v", none, none.Validate())
	}
	if _, err := s3.Open(none); err == nil || !strings.Contains(err.Error(), "want https://host[:port]") {
		t.Errorf("opened: %v", err)
	}
	if _, err := s3.Open(s3.Config{Endpoint: "https://x", Bucket: "not a bucket", Region: "eu"}); err != nil {
		t.Errorf("a name is for the store to refuse: %v", err)
	}
}

func TestTheKeysOfTheEnvironmentAreUsed(t *testing.T) {
	store := objectstore.Start(t, "logs")
	t.Setenv("AWS_ACCESS_KEY_ID", store.Key)
	t.Setenv("AWS_SECRET_ACCESS_KEY", store.Secret)
	b := open(t, s3.Config{Endpoint: store.Endpoint, Bucket: "logs"})
	if err := b.Put(context.Background(), "a.gz", strings.NewReader("x"), buckettest.Of("x")); err != nil {
		t.Error(err)
	}
}
