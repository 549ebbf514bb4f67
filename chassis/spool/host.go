package spool

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// Host is what [Spool.Attach] needs of the service around a spool; *chassis.Service is one.
type Host interface {
	OnClose(name string, f func(context.Context) error)
	Registry() *prometheus.Registry
}

// scrapeTime is how long a scrape waits for figures before it shows the last ones.
const scrapeTime = time.Second

// Attach shows the spool in the metrics of h under name, as [kpi.RegisterSpool] says, and has h close it.
// Call it before what uses the spool is registered with h: what was registered last is closed first.
func (s *Spool) Attach(h Host, name string) error {
	var mu sync.Mutex
	var last kpi.SpoolStats
	err := kpi.RegisterSpool(h.Registry(), name, func() kpi.SpoolStats {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
		defer cancel()
		st, err := s.Stats(ctx)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			last = st.metrics()
		}
		return last
	})
	if err != nil {
		return err
	}
	h.OnClose("spool "+name, func(ctx context.Context) error {
		done := make(chan error, 1)
		go func() { done <- s.Close() }()
		select {
		case err := <-done:
			return err
		case <-ctx.Done(): // a disk that does not answer must not keep a process from exiting
			return fmt.Errorf("close spool %s: %w", s.name, ctx.Err())
		}
	})
	return nil
}

func (st Stats) metrics() kpi.SpoolStats {
	return kpi.SpoolStats{
		Records: st.Records, Held: st.Held, Parked: st.Parked, Bytes: st.Bytes, Limit: st.Limit, OldestAge: st.Oldest, Blocked: st.Blocked,
		Put: st.Here.Put, Acked: st.Here.Acked, Failed: st.Here.Nacked, Rejected: st.Here.Rejected,
		Dropped: st.Here.Dropped, Parkings: st.Here.Parkings,
	}
}
