//go:build unix

package certificate_test

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A pipe in the key's place holds a look up while the certificate changes.
func TestFilesThatChangeWhileTheyAreReadAreLeftToTheNextLook(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		cert, key := made(2, w.end)
		must(t, os.Remove(w.key))
		must(t, syscall.Mkfifo(w.key, 0o600))
		time.Sleep(time.Minute)
		pipe, err := os.OpenFile(w.key, os.O_WRONLY, 0) // waits for the look
		must(t, err)
		write(t, w.cert, cert)
		must(t, pipe.Close())
		synctest.Wait()
		w.reported(t)
		w.serves(t, 1)

		must(t, os.Remove(w.key))
		write(t, w.key, key)
		w.look(t, "2")
		w.serves(t, 2)
	})
}
