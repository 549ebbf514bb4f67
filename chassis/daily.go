package chassis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

// daily writes the daily reports of failures, from when the service is ready until it has drained.
type daily struct {
	mu    sync.Mutex // held while a report is written
	timer clock.Timer
	ended bool
}

// folder is where reports of failures are written.
func (s *Service) folder() aggregate.Folder {
	return aggregate.Folder{Path: s.settings.Errors.Dir, Service: s.name, Keep: s.settings.Errors.Keep}
}

// checkReports checks that reports of failures can be written. A disk that is full does not keep a service from starting.
func (s *Service) checkReports() error {
	if s.settings.Errors.Dir == "" || s.world.Dry {
		return nil
	}
	if err := s.folder().Prepare(); err != nil && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("errors.dir: %w", err)
	}
	return nil
}

// awaitMidnight has the report of each day written when it has ended.
func (s *Service) awaitMidnight() {
	if s.settings.Errors.Dir == "" {
		return
	}
	s.daily.mu.Lock()
	defer s.daily.mu.Unlock()
	if s.daily.ended {
		return
	}
	now := s.world.Clock.Now().UTC()
	midnight := now.Truncate(24 * time.Hour).Add(24 * time.Hour)
	s.daily.timer = s.world.Clock.AfterFunc(midnight.Sub(now), func() {
		_, _ = s.writeDaily(context.Background(), midnight.Add(-time.Second), "") // which logs what is wrong
		s.awaitMidnight()
	})
}

// endDaily ends that. What failed on a day on which the service stops is written as well.
func (s *Service) endDaily(ctx context.Context) error {
	if s.settings.Errors.Dir == "" || s.world.Dry {
		return nil
	}
	s.daily.mu.Lock()
	s.daily.ended = true
	if s.daily.timer != nil {
		s.daily.timer.Stop()
	}
	s.daily.mu.Unlock()
	if !s.replaced.Load() {
		now := s.world.Clock.Now().UTC()
		_, _ = s.writeDaily(ctx, now, asOf(now)) // which logs what is wrong
	}
	return nil
}

// asOf stands behind the day in the name of the report of a part of it.
func asOf(now time.Time) string { return "-" + now.Format("150405") }

// writeDaily writes what failed on the day of at. as stands behind the day in the name of the report. That
// of a whole day is written by the process that comes first; a day without a failure has none: written is
// false then. The error, which is logged, says what is missing or could not be written.
func (s *Service) writeDaily(ctx context.Context, at time.Time, as string) (written bool, err error) {
	s.daily.mu.Lock()
	defer s.daily.mu.Unlock()
	d, err := s.today(ctx, at)
	if !d.Empty() {
		var writeErr error
		written, writeErr = s.folder().Write(d, as)
		err = errors.Join(err, writeErr)
	}
	if err != nil {
		s.log.Error("the report of failures is not whole", zap.String("day", d.Day), zap.Error(err))
	}
	if written {
		s.log.Info("the report of failures is written", zap.String("dir", s.settings.Errors.Dir), zap.String("day", d.Day+as))
	}
	return written, err
}

// today is what failed on the day of at, as far as is known. An error says what is missing.
func (s *Service) today(ctx context.Context, at time.Time) (aggregate.Daily, error) {
	day := at.UTC().Format(time.DateOnly)
	groups, err := s.failed(ctx)
	known := map[string]bool{}
	if s.settings.Errors.Dir != "" {
		earlier, readErr := s.folder().Read()
		err = errors.Join(err, readErr)
		for _, d := range earlier {
			if d.Day >= day {
				continue
			}
			for _, g := range d.Groups() {
				known[g.Key] = true
			}
		}
	}
	return aggregate.DailyOf(s.name, day, s.world.Clock.Now(), groups, func(key string) bool { return known[key] }), err
}
