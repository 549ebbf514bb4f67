package scenario

import "context"

// CompareOne compares two systems by one scenario, without the testing.
func (s *Suite[E, C, A]) CompareOne(ctx context.Context, a, b *System[C, A], sc Scenario[E, C, A]) error {
	return s.compare(ctx, a, b, &sc)
}

// CheckUnable checks what a system says that it cannot run.
func (s *Suite[E, C, A]) CheckUnable(sys *System[C, A]) error { return s.checkUnable(sys) }
