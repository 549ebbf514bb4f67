package sqlitefile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// A task is a name to store. It belongs to the writer until it is done.
type task struct {
	name string
	err  error
}

// A bench is a writer whose commits wait for the test.
type bench struct {
	*sqlitefile.Writer[*task]
	begun   chan []*task  // what is in the commit that has begun
	end     chan struct{} // lets a commit end
	closing chan struct{}
}

func newBench(bytes int) *bench {
	b := &bench{begun: make(chan []*task), end: make(chan struct{}), closing: make(chan struct{})}
	b.Writer = sqlitefile.NewWriter(func(group []*task) {
		b.begun <- slices.Clone(group)
		<-b.end
	}, func(*task) int { return bytes }, b.closing)
	return b
}

func (b *bench) close() {
	close(b.closing)
	b.Wait()
}

// queue calls Do for n tasks and waits until all of them are on their way. The outcomes come in
// the channel as they are known.
func (b *bench) queue(ctx context.Context, n int) <-chan sqlitefile.Outcome {
	outcomes := make(chan sqlitefile.Outcome, n)
	for range n {
		go func() { outcomes <- b.Do(ctx, &task{}) }()
	}
	synctest.Wait()
	return outcomes
}

func wantOutcomes(t *testing.T, outcomes <-chan sqlitefile.Outcome, n int, want sqlitefile.Outcome) {
	t.Helper()
	for range n {
		if got := <-outcomes; got != want {
			t.Fatalf("outcome %d, want %d", got, want)
		}
	}
}

func TestCallersThatWaitShareACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1)
		first := b.queue(t.Context(), 1)
		if g := <-b.begun; len(g) != 1 {
			t.Errorf("%d tasks in the first group, want 1", len(g))
		}
		rest := b.queue(t.Context(), 20)
		if n := b.Queued(); n != 20 {
			t.Errorf("%d tasks wait, want 20", n)
		}
		b.end <- struct{}{}
		wantOutcomes(t, first, 1, sqlitefile.Done)
		if g := <-b.begun; len(g) != 20 {
			t.Errorf("%d tasks in the second group, want 20", len(g))
		}
		select {
		case <-rest:
			t.Error("answered before the commit ended")
		default:
		}
		b.end <- struct{}{}
		wantOutcomes(t, rest, 20, sqlitefile.Done)
		b.close()
	})
}

func TestAGroupIsBoundedInTasksAndInBytes(t *testing.T) {
	for _, test := range []struct {
		bytes int
		want  []int // sizes of the groups after the first
	}{
		{1, []int{512, 88}},
		{16 << 20, slices.Repeat([]int{1}, 600)},
		{6 << 20, slices.Repeat([]int{3}, 200)},
	} {
		t.Run(fmt.Sprint(test.bytes, " bytes"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(test.bytes)
				first := b.queue(t.Context(), 1)
				<-b.begun
				rest := b.queue(t.Context(), 600)
				var sizes []int
				b.end <- struct{}{}
				for range test.want {
					sizes = append(sizes, len(<-b.begun))
					b.end <- struct{}{}
				}
				wantOutcomes(t, first, 1, sqlitefile.Done)
				wantOutcomes(t, rest, 600, sqlitefile.Done)
				if !slices.Equal(sizes, test.want) {
					t.Errorf("groups of %v, want %v", sizes, test.want)
				}
				b.close()
			})
		})
	}
}

func TestAnErrorOfTheCommitReachesEachCaller(t *testing.T) {
	path := newPath(t)
	c, holder := open(t, path), open(t, path)
	k, closing := newKind(), make(chan struct{})
	w := sqlitefile.NewWriter(func(group []*task) {
		err := sqlitefile.Begin(t.Context(), c, 0, nil)
		for _, x := range group {
			if err == nil {
				err = c.Query("INSERT INTO names VALUES (?)").Text(1, x.name).Run()
			}
		}
		if err == nil {
			err = sqlitefile.Exec(c.Conn, "COMMIT")
		}
		for _, x := range group {
			if err != nil {
				x.err = k.Mark(err)
			}
		}
	}, func(x *task) int { return len(x.name) }, closing)
	all := func(check func(error)) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				x := &task{name: fmt.Sprint(i)}
				outcome := w.Do(t.Context(), x)
				mu.Lock()
				defer mu.Unlock()
				if outcome != sqlitefile.Done {
					t.Errorf("outcome %d", outcome)
				}
				check(x.err)
			})
		}
		wg.Wait()
	}
	exec(t, holder, "BEGIN IMMEDIATE")
	failed := 0
	all(func(err error) {
		if errors.Is(err, errBusy) {
			failed++
		}
	})
	exec(t, holder, "ROLLBACK")
	all(func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	close(closing)
	w.Wait()
	if n := count(t, holder); n != 20 || failed != 20 {
		t.Errorf("%d names, %d callers told that it was busy; want 20 and 20", n, failed)
	}
}

func TestACallerWhoseContextEndsKnowsWhetherItsTaskWasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1)
		ctx, cancel := context.WithCancel(t.Context())
		being := b.queue(ctx, 1)
		<-b.begun
		waiting := b.queue(ctx, 3)
		cancel()
		wantOutcomes(t, being, 1, sqlitefile.Unknown)
		wantOutcomes(t, waiting, 3, sqlitefile.Withdrawn)
		b.end <- struct{}{}
		synctest.Wait()
		select {
		case g := <-b.begun:
			t.Errorf("a commit of %d tasks that were withdrawn", len(g))
		default:
		}
		later := b.queue(t.Context(), 1)
		if g := <-b.begun; len(g) != 1 {
			t.Errorf("%d tasks, want 1", len(g))
		}
		b.end <- struct{}{}
		wantOutcomes(t, later, 1, sqlitefile.Done)
		b.close()
	})
}

func TestAFullQueueMakesFurtherCallersWaitUntilTheirContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1)
		first := b.queue(t.Context(), 1)
		<-b.begun
		rest := b.queue(t.Context(), sqlitefile.MaxWaiting)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if got := b.Do(ctx, &task{}); got != sqlitefile.Withdrawn || ctx.Err() == nil {
			t.Errorf("outcome %d with %v, want %d at the end of the context", got, ctx.Err(), sqlitefile.Withdrawn)
		}
		if n := b.Queued(); n != sqlitefile.MaxWaiting {
			t.Errorf("%d tasks wait, want %d", n, sqlitefile.MaxWaiting)
		}
		for range 3 { // the first, and two of 512
			b.end <- struct{}{}
			if n := b.Queued(); n > 0 {
				<-b.begun
			}
		}
		wantOutcomes(t, first, 1, sqlitefile.Done)
		wantOutcomes(t, rest, sqlitefile.MaxWaiting, sqlitefile.Done)
		b.close()
	})
}

func TestAClosedWriterTakesNothingAndDoesNotKeepItsCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(1)
		first := b.queue(t.Context(), 1)
		<-b.begun
		close(b.closing)
		b.end <- struct{}{} // what was taken is still committed
		b.Wait()
		wantOutcomes(t, first, 1, sqlitefile.Done)
		// More than there are places in the queue, so that some find a place and some do not.
		const n = 4 * sqlitefile.MaxWaiting
		wantOutcomes(t, b.queue(t.Context(), n), n, sqlitefile.Closed)
	})
}

func TestTheWriterLeavesTheFileToOthers(t *testing.T) {
	for name, test := range map[string]struct {
		peer  bool
		each  time.Duration // how long a commit takes
		tasks int
		want  time.Duration // for how long the file was left
	}{
		"never while it is alone and quick":       {false, time.Millisecond, 50, 0},
		"after each commit beside another writer": {true, time.Millisecond, 50, 49 * time.Millisecond},
		"every 100 ms in any case":                {false, 10 * time.Millisecond, 100, 9 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w *sqlitefile.Writer[*task]
				all, closing := make(chan struct{}), make(chan struct{})
				commits, start := 0, time.Now()
				var took time.Duration
				w = sqlitefile.NewWriter(func([]*task) {
					<-all
					if test.peer {
						w.NotePeer()
					}
					time.Sleep(test.each) // what the disk takes, by the clock of the test
					commits++
					took = time.Since(start)
				}, func(*task) int { return 16 << 20 }, closing) // so that each is a group
				synctest.Wait() // it is idle
				outcomes := make(chan sqlitefile.Outcome, test.tasks)
				for range test.tasks {
					go func() { outcomes <- w.Do(t.Context(), &task{}) }()
				}
				synctest.Wait()
				close(all)
				wantOutcomes(t, outcomes, test.tasks, sqlitefile.Done)
				close(closing)
				w.Wait()
				if left := took - time.Duration(test.tasks)*test.each; left != test.want || commits != test.tasks {
					t.Errorf("%d commits, and the file left to others for %v; want %v", commits, left, test.want)
				}
			})
		})
	}
}
