package chassis

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// newAggregator makes what groups the service's failures. random is what users are hashed with, unless
// the settings have a salt.
func (s *Service) newAggregator(random []byte) *aggregate.Aggregator {
	cfg := aggregate.Config{
		Service: s.name, Version: Version(), Revision: revision(), Clock: s.world.Clock, Rand: s.world.Rand,
		Salt: []byte(cmp.Or(s.settings.Errors.Salt.Reveal(), string(random))),
		OnError: func(sink string, r aggregate.Report, err error) {
			s.log.Warn("a report of failures was not taken", zap.String("sink", sink), zap.String("group", r.Group), zap.Uint64("count", r.Count), zap.Error(err))
		},
	}
	if s.world.host != nil {
		cfg.Generation = s.world.host.Worker()
		cfg.Elsewhere = s.failedElsewhere
	}
	return aggregate.New(cfg)
}

// ReportFailures has sink take reports of failures of class Service and Dependency: few of many, see
// [aggregate.Aggregator.ReportTo]. It belongs into Setup, behind what sink needs: when the service ends,
// sink is told the rest before that is closed. name says in logs whose error it is when a report
// cannot be taken.
func (s *Service) ReportFailures(name string, sink aggregate.Sink) {
	if s.world.Dry {
		return
	}
	s.aggregate.ReportTo(name, sink)
	s.OnClose("reports of failures to "+name, s.aggregate.Flush)
}

// FailureCounts are how often each failure code of the chassis and of the service was answered since the
// service was started, those of work that nobody waits for included.
func (s *Service) FailureCounts() []failure.Count { return s.failures.Counts() }

// occurrence is a failure as it is grouped.
func occurrence(ctx context.Context, f *failure.Error, id string, now time.Time, asked Asked) aggregate.Occurrence {
	o := aggregate.Occurrence{Error: f, ID: id, Time: now, Protocol: asked.Protocol, Method: asked.Method, User: asked.User}
	if info := request.From(ctx); info != nil {
		o.RequestID, o.Listener, o.Route, o.TraceID = info.ID, info.Listener, info.Route, info.Trace.TraceID
	}
	return o
}

// failWork counts a failure that is answered to nobody, and returns its error id. name says of what
// work.
func (s *Service) failWork(name string, err error) string {
	f := classify(s.base, err, s.ids.Float64)
	panicked, isPanic := wary.As[*panicError](err)
	switch _, coded := wary.As[failure.Failer](err); {
	case isPanic:
		f = failure.Recovered(panicked.value, panicked.stack)
	case wary.Is(err, errGoexit):
		f = failure.Recovered(nil, nil)
	case !coded && f.Code() == failure.CallerLeft:
		f = failure.Unclassified.Wrap(err) // there is no caller
	}
	id := failure.NewID(s.world.Rand)
	s.failures.Add(f.Code())
	s.aggregate.Add(aggregate.Occurrence{Error: f, ID: id, Time: s.world.Clock.Now(), Route: name})
	return id
}

// failedElsewhere are the groups of failures of the service's other processes, those that have ended
// included.
func (s *Service) failedElsewhere(ctx context.Context) ([]aggregate.Group, error) {
	if s.world.host == nil {
		return nil, nil
	}
	others, _, err := s.world.host.Gather(ctx, func() []byte {
		own, err := s.snapshot()
		if err != nil {
			return nil // what it said before counts
		}
		return own
	})
	groups, groupsErr := groupsOf(others)
	return groups, errors.Join(err, groupsErr)
}

// failed are the groups of failures of all processes of the service, in the order in which they are
// shown. An error says what they lack.
func (s *Service) failed(ctx context.Context) ([]aggregate.Group, error) {
	ctx, cancel := context.WithTimeout(ctx, hostTimeout)
	defer cancel()
	others, err := s.failedElsewhere(ctx)
	now := s.world.Clock.Now()
	groups := aggregate.Recent(aggregate.Merge(s.aggregate.Groups(), others), now)
	aggregate.Sort(groups, now)
	return groups, err
}
