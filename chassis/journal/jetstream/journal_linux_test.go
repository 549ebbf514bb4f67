package jetstream_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/jetstream"
	"github.com/seed-754044b3/roadworthy/chassis/journal/journaltest"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

// open opens a journal that the test closes.
func open(t testing.TB, url string) journal.Journal {
	t.Helper()
	h := &journal.Local{}
	j, err := journal.Open(t.Context(), h, url, jetstream.Engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return j
}

// fresh returns URLs of streams that do not exist.
func fresh(c *natscluster.Cluster) func() string {
	var n atomic.Int32
	return func() string { return fmt.Sprintf("nats://%s/J%d", c.Hosts(), n.Add(1)) }
}

func TestThreeServersKeepThePromisesOfAJournal(t *testing.T) {
	next := fresh(natscluster.Start(t))
	urls := map[journal.Journal]string{}
	again := func(t *testing.T, known journal.Journal) journal.Journal { return open(t, urls[known]) }
	journaltest.Run(t, func(t *testing.T) journal.Journal {
		url := next()
		j := open(t, url)
		urls[j] = url
		return j
	},
		journaltest.Reopen(again),
		journaltest.Peer(again),
		journaltest.Clocked(func(t *testing.T, c clock.Clock) journal.Journal {
			j, err := journal.Open(t.Context(), &journal.Local{Time: c}, next(), jetstream.Engine)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = j.Close() }) // most rules have closed it, and then this does nothing
			return j
		}),
		journaltest.Patience(3*time.Minute))
}
