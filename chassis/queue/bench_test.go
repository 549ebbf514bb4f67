package queue_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

func nothing(context.Context) error { return nil }

func BenchmarkDo(b *testing.B) {
	b.Run("a free worker", func(b *testing.B) {
		q := open(b, queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
		b.ReportAllocs()
		for b.Loop() {
			if err := q.Do(b.Context(), queue.Meta{}, nothing); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("a free worker, by Enter and Leave", func(b *testing.B) {
		q := open(b, queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			a, err := q.Enter(ctx, queue.Meta{})
			if err != nil {
				b.Fatal(err)
			}
			a.Leave(nil)
		}
	})
	b.Run("a free worker and a deadline", func(b *testing.B) {
		q := open(b, queue.Limits{Workers: 2, Capacity: 8}, queue.Options{})
		ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
		defer cancel()
		b.ReportAllocs()
		for b.Loop() {
			if err := q.Do(ctx, queue.Meta{}, nothing); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("all processors at once", func(b *testing.B) {
		q := open(b, queue.Limits{Workers: 64, Capacity: 64}, queue.Options{})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := q.Do(b.Context(), queue.Meta{}, nothing); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("a place to wait in", func(b *testing.B) { waiting(b, func(int) queue.Meta { return queue.Meta{} }) })
	b.Run("a place to wait in, many tenants", func(b *testing.B) {
		names := make([]string, 1000)
		for i := range names {
			names[i] = fmt.Sprint("tenant ", i)
		}
		waiting(b, func(i int) queue.Meta { return queue.Meta{Tenant: names[i%len(names)], Class: queue.Class(-i % 4)} })
	})
	b.Run("rejected", func(b *testing.B) {
		q := open(b, queue.Limits{Workers: 1, Capacity: 1}, queue.Options{})
		release := make(chan bool)
		for range 2 {
			if err := q.Submit(b.Context(), queue.Meta{}, func(context.Context) error { <-release; return nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := q.Do(b.Context(), queue.Meta{}, nothing); err == nil {
				b.Fatal("admitted")
			}
		}
		close(release)
	})
}

// waiting has 128 callers share one worker; all but one of them wait.
func waiting(b *testing.B, meta func(int) queue.Meta) {
	q := open(b, queue.Limits{Workers: 1, Capacity: 1024}, queue.Options{})
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := q.Do(ctx, meta(i), nothing); err != nil {
				b.Error(err)
			}
		}
	})
}

// A caller who waits for each piece of submitted work pays for the goroutine's start and switch.
func BenchmarkSubmit(b *testing.B) {
	q := open(b, queue.Limits{Workers: 1, Capacity: 8}, queue.Options{})
	done := make(chan bool)
	work := func(context.Context) error { done <- true; return nil }
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Submit(b.Context(), queue.Meta{}, work); err != nil {
			b.Fatal(err)
		}
		<-done
	}
}
