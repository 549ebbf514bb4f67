package objectstore_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/objectstore"
)

func TestAStoreAnswersUntilItIsDownAndAgainWhenItIsUp(t *testing.T) {
	s := objectstore.Start(t, "logs")
	if _, err := os.Stat(filepath.Join(s.Root, "logs")); err != nil {
		t.Error(err)
	}
	for range 2 {
		res, err := http.Get(s.Endpoint + "/logs")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusForbidden {
			t.Errorf("without a signature: %s, want 403", res.Status)
		}
		s.Up(t) // it is
		s.Down(t)
		s.Down(t) // it is
		if res, err := http.Get(s.Endpoint + "/logs"); err == nil {
			_ = res.Body.Close()
			t.Errorf("it is down and answers %s", res.Status)
		}
		s.Up(t)
	}
}
