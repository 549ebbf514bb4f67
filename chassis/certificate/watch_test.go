package certificate_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/certificate"
)

// watched is a pair that a test looks at once a minute, within a bubble of testing/synctest.
type watched struct {
	files
	pair *certificate.Pair
	end  time.Time // of certificates that are valid

	mu     sync.Mutex
	events []certificate.Event
}

func (w *watched) report(e certificate.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// watching runs test with a pair of serial number 1 that is watched.
func watching(t *testing.T, test func(t *testing.T, w *watched)) {
	t.Helper()
	f := newFiles(t)
	synctest.Test(t, func(t *testing.T) {
		w := &watched{files: f, end: time.Now().Add(24 * time.Hour)}
		w.renew(t, 1, w.end)
		w.pair = w.open(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			defer close(done)
			w.pair.Watch(ctx, time.Minute, w.report)
		}()
		synctest.Wait()
		test(t, w)
		cancel()
		<-done
	})
}

// look lets the watcher look once. What it reports must be want: a serial number, with an error
// that contains a text or without.
func (w *watched) look(t *testing.T, want ...string) {
	t.Helper()
	time.Sleep(time.Minute) // virtual
	synctest.Wait()
	w.reported(t, want...)
}

func (w *watched) reported(t *testing.T, want ...string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []string
	for _, e := range w.events {
		s := e.Serial
		if e.Err != nil {
			s += ": " + strings.TrimPrefix(e.Err.Error(), fmt.Sprintf("certificate %s with key %s: ", w.cert, w.key))
		}
		got = append(got, s)
		if !e.NotAfter.Equal(w.end) {
			t.Errorf("valid until %v, want %v", e.NotAfter, w.end)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("reported %q, want %q", got, want)
	}
	w.events = nil
}

// serves says which certificate must be in use.
func (w *watched) serves(t *testing.T, want int64) {
	t.Helper()
	if n := serial(t, w.pair); n != want {
		t.Errorf("certificate %d is in use, want %d", n, want)
	}
	if !w.pair.NotAfter().Equal(w.end) {
		t.Errorf("valid until %v, want %v", w.pair.NotAfter(), w.end)
	}
}

func TestNewFilesAreTakenAtTheNextLook(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		w.look(t)
		w.end = w.end.Add(time.Hour)
		w.renew(t, 0xABC, w.end)
		w.look(t, "ABC")
		w.serves(t, 0xABC)
		w.look(t)
	})
}

func TestHalfAPairChangesNothing(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		cert, key := made(2, w.end)
		write(t, w.cert, cert)
		w.look(t, "1: tls: private key does not match public key")
		w.serves(t, 1)
		w.look(t)
		write(t, w.key, key)
		w.look(t, "2")
		w.serves(t, 2)
	})
}

func TestWhatCannotBeUsedIsReportedOnceAndTheOldPairStays(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, w *watched)
		err   string
	}{
		"a certificate that is no longer valid": {
			func(t *testing.T, w *watched) {
				w.renew(t, 2, time.Date(1999, 12, 31, 23, 0, 0, 0, time.UTC))
			},
			"1: its validity ended at 1999-12-31T23:00:00Z",
		},
		"a certificate cut off": {
			func(t *testing.T, w *watched) { must(t, os.Truncate(w.cert, 100)) },
			"1: tls: failed to find any PEM data in certificate input",
		},
		"an empty key": {
			func(t *testing.T, w *watched) { must(t, os.Truncate(w.key, 0)) },
			"1: tls: failed to find any PEM data in key input",
		},
		"a key that is gone": {
			func(t *testing.T, w *watched) { must(t, os.Remove(w.key)) },
			"1: open KEY: no such file or directory",
		},
		"a key that is a folder": {
			func(t *testing.T, w *watched) { must(t, os.Remove(w.key)); must(t, os.Mkdir(w.key, 0o700)) },
			"1: read KEY: is a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			watching(t, func(t *testing.T, w *watched) {
				cert, err := os.ReadFile(w.cert)
				must(t, err)
				key, err := os.ReadFile(w.key)
				must(t, err)
				c.spoil(t, w)
				w.look(t, strings.ReplaceAll(c.err, "KEY", w.key))
				w.serves(t, 1)
				w.look(t)

				// The same pair again: somebody has mended the files.
				must(t, os.RemoveAll(w.key))
				write(t, w.cert, cert)
				write(t, w.key, key)
				w.look(t, "1")
				w.serves(t, 1)
				w.look(t)

				w.renew(t, 3, w.end)
				w.look(t, "3")
				w.serves(t, 3)
			})
		})
	}
}

func TestEachErrorIsReported(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		must(t, os.Rename(w.key, w.key+".away"))
		w.look(t, "1: open "+w.key+": no such file or directory")
		write(t, w.key, nil)
		w.look(t, "1: tls: failed to find any PEM data in key input")
		must(t, os.Remove(w.key))
		w.look(t, "1: open "+w.key+": no such file or directory")
		// Back as it was when the pair was opened.
		must(t, os.Rename(w.key+".away", w.key))
		w.look(t, "1")
	})
}

func TestAFileWithTheSameTimeAndSizeIsSeen(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		cert, key := made(2, w.end)
		for path, data := range map[string][]byte{w.cert: cert, w.key: key} {
			old, err := os.Stat(path)
			must(t, err)
			write(t, path+".new", data)
			must(t, os.Chtimes(path+".new", time.Time{}, old.ModTime()))
			renewed, err := os.Stat(path + ".new")
			must(t, err)
			if renewed.Size() != old.Size() || !renewed.ModTime().Equal(old.ModTime()) {
				t.Fatalf("%v is not like %v", renewed, old)
			}
			must(t, os.Rename(path+".new", path))
		}
		w.look(t, "2")
		w.serves(t, 2)
	})
}

func TestAFileWithTheSameTimeInPlaceIsSeenByItsSize(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		moment := time.Now()
		must(t, os.Chtimes(w.cert, moment, moment))
		must(t, os.Chtimes(w.key, moment, moment))
		w.look(t)
		cert, key := made(2, w.end)
		write(t, w.cert, append(cert, '\n'))
		write(t, w.key, append(key, '\n'))
		must(t, os.Chtimes(w.cert, moment, moment))
		must(t, os.Chtimes(w.key, moment, moment))
		w.look(t, "2")
		w.serves(t, 2)
	})
}

func TestAFileWithTheSameSizeInPlaceIsSeenByItsTime(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		moment := time.Now().Add(time.Nanosecond)
		w.renew(t, 2, w.end)
		must(t, os.Chtimes(w.cert, moment, moment))
		must(t, os.Chtimes(w.key, moment, moment))
		w.look(t, "2")
		w.serves(t, 2)
	})
}

func TestAFileThatChangesInPlaceTwiceInAMomentIsSeenBothTimes(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		moment := time.Now().Add(time.Minute) // of the first look
		renew := func(serial int64) {
			w.renew(t, serial, w.end)
			must(t, os.Chtimes(w.cert, moment, moment))
			must(t, os.Chtimes(w.key, moment, moment))
		}
		renew(2)
		w.look(t, "2")
		renew(3)
		w.look(t, "3")
		w.serves(t, 3)
		renew(4) // a minute later no clock is so coarse
		w.look(t)
		w.serves(t, 3)
	})
}

func TestWhatLooksTheSameHealsAfterAFailure(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		cert, key := made(2, w.end)
		moment := time.Now()
		write(t, w.cert, cert)
		write(t, w.key, make([]byte, len(key)))
		must(t, os.Chtimes(w.key, moment, moment))
		w.look(t, "1: tls: failed to find any PEM data in key input")
		write(t, w.key, key)
		must(t, os.Chtimes(w.key, moment, moment))
		w.look(t, "2")
	})
}

func TestTheSameContentIsNoChange(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		moment := time.Now().Add(time.Hour)
		must(t, os.Chtimes(w.cert, moment, moment))
		w.look(t)
		w.serves(t, 1)
	})
}

// Kubernetes links the files through a folder, and renames the link to that folder.
func TestALinkToAFolderThatIsSwappedIsFollowed(t *testing.T) {
	watching(t, func(t *testing.T, w *watched) {
		volume := t.TempDir()
		swap := func(name string, serial int64) {
			folder := filepath.Join(volume, name)
			must(t, os.Mkdir(folder, 0o700))
			files{filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")}.renew(t, serial, w.end)
			must(t, os.Symlink(name, filepath.Join(volume, "..new")))
			must(t, os.Rename(filepath.Join(volume, "..new"), filepath.Join(volume, "..data")))
		}
		swap("..first", 2)
		for _, path := range []string{w.cert, w.key} {
			must(t, os.Remove(path))
			must(t, os.Symlink(filepath.Join(volume, "..data", filepath.Base(path)), path))
		}
		w.look(t, "2")
		swap("..second", 3)
		w.look(t, "3")
		w.serves(t, 3)
	})
}

func TestWatchNeedsNeitherAnIntervalNorAReport(t *testing.T) {
	f := newFiles(t)
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Hour)
		f.renew(t, 1, end)
		pair := f.open(t)
		f.renew(t, 2, end)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan bool)
		go func() {
			defer close(done)
			pair.Watch(ctx, 0, nil)
		}()
		time.Sleep(10*time.Second - time.Nanosecond)
		synctest.Wait()
		if n := serial(t, pair); n != 1 {
			t.Errorf("certificate %d after less than 10 seconds", n)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := serial(t, pair); n != 2 {
			t.Errorf("certificate %d after 10 seconds", n)
		}
		cancel()
		<-done
	})
}

func TestHandshakesShowTheNewCertificateAndOldConnectionsLive(t *testing.T) {
	f := newFiles(t)
	end := time.Now().Add(time.Hour)
	first, _ := f.renew(t, 1, end)
	pair := f.open(t)
	reports := make(chan certificate.Event)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		pair.Watch(ctx, time.Millisecond, func(e certificate.Event) {
			select {
			case reports <- e:
			case <-ctx.Done():
			}
		})
	})

	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: pair.GetCertificate})
	must(t, err)
	defer l.Close()
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // an echo
			})
		}
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(first)
	dial := func(want int64) *tls.Conn {
		t.Helper()
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: time.Minute}, "tcp", l.Addr().String(), &tls.Config{RootCAs: pool})
		must(t, err)
		if n := c.ConnectionState().PeerCertificates[0].SerialNumber.Int64(); n != want {
			t.Errorf("the handshake shows certificate %d, want %d", n, want)
		}
		return c
	}
	echo := func(c *tls.Conn) {
		t.Helper()
		must(t, c.SetDeadline(time.Now().Add(time.Minute)))
		_, err := io.WriteString(c, "ping")
		must(t, err)
		answer := make([]byte, 4)
		_, err = io.ReadFull(c, answer)
		if err != nil || string(answer) != "ping" {
			t.Errorf("%q, %v", answer, err)
		}
	}

	old := dial(1)
	defer old.Close()
	echo(old)
	second, key := made(2, end)
	pool.AppendCertsFromPEM(second)
	write(t, f.key, key)
	next := func() (e certificate.Event) {
		t.Helper()
		select {
		case e = <-reports:
		case <-time.After(time.Minute):
			t.Fatal("no report")
		}
		return e
	}
	half := next()
	if half.Err == nil || half.Serial != "1" {
		t.Errorf("reported %+v of a key that is not the certificate's", half)
	}
	dial(1).Close()
	write(t, f.cert, second)
	for next().Err != nil { // a look may have met the file while it was empty
	}
	renewed := dial(2)
	defer renewed.Close()
	echo(renewed)
	echo(old)
}

// Whoever asks while files are replaced, one after the other or by a link, gets a certificate with
// its own key.
func TestNoHandshakeSeesHalfAPair(t *testing.T) {
	f := newFiles(t)
	end := time.Now().Add(time.Hour)
	f.renew(t, 1, end)
	pair := f.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	const last = 150
	reached := make(chan bool)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		pair.Watch(ctx, 100*time.Microsecond, func(e certificate.Event) {
			if e.Err == nil && e.Serial == fmt.Sprintf("%X", last) {
				close(reached)
			}
		})
	})
	for range 2 {
		wg.Go(func() {
			for newest := int64(0); ctx.Err() == nil; {
				n := serial(t, pair)
				if n < newest {
					t.Errorf("certificate %d after %d", n, newest)
				}
				newest = n
			}
		})
	}
	for n := int64(2); n <= last; n++ {
		f.renew(t, n, end)
	}
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Errorf("certificate %d is in use, want %d", serial(t, pair), last)
	}
}
