package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// Whatever happens to the bytes of a file: what comes out of it is what was put into it, or an error.
func FuzzADamagedFile(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.spool")
	s, err := spool.Open(f.Context(), path, spool.Config{})
	must(f, err)
	put(f, s, "a", "b", "c")
	must(f, s.Park(f.Context(), "bad", lease(f, s, 1, time.Minute)...))
	must(f, s.Close())
	sound, err := os.ReadFile(path)
	must(f, err)
	f.Add(uint(0), []byte{}, uint(0))
	f.Add(uint(100), []byte{1}, uint(0))
	f.Add(uint(5000), []byte("\xff\xff"), uint(0))
	f.Add(uint(len(sound)-20), []byte("body of x"), uint(0))
	f.Add(uint(0), []byte{}, uint(5000))
	f.Fuzz(func(t *testing.T, at uint, damage []byte, cut uint) {
		bytes := append([]byte(nil), sound...)
		copy(bytes[at%uint(len(bytes)):], damage)
		path := filepath.Join(t.TempDir(), "a.spool")
		must(t, os.WriteFile(path, bytes[:uint(len(bytes))-cut%uint(len(bytes))], 0o600))
		s, err := spool.Open(t.Context(), path, spool.Config{})
		if err != nil {
			return
		}
		defer s.Close()
		got, err := s.Lease(t.Context(), 10, time.Minute)
		for _, r := range got {
			if r.Kind != "test" || string(r.Body) != "body of "+r.ID || r.ID != "a" && r.ID != "b" && r.ID != "c" {
				t.Errorf("a record that was never put: %+v", r)
			}
		}
		if err != nil && !errors.Is(err, spool.ErrFailed) {
			t.Errorf("lease: %v, want ErrFailed", err)
		}
		if _, err := s.Parked(t.Context(), "", 10); err != nil && !errors.Is(err, spool.ErrFailed) {
			t.Errorf("parked: %v, want ErrFailed", err)
		}
		_ = s.Put(t.Context(), spool.Record{ID: "d"}) // it may fail, and must not panic
	})
}
