package journal

import "context"

// A Fence numbers the grants of a lease: the next holder has a higher one than all before. What is
// written under it can refuse a holder that was replaced without knowing, after a pause longer than
// its lease. 0 is no fence, the lowest. Fences stay below 2⁶³.
type Fence uint64

// Checkpoints keeps, by the name of a reader, up to which position it has done its work. Names
// follow the rule of stream names. Implementations are safe for concurrent use.
type Checkpoints interface {
	// Load returns where the checkpoint is, 0 when it was never moved.
	Load(ctx context.Context, name string) (Position, error)

	// Move moves the checkpoint from one position to another, forward or back, if it is there and
	// was never moved under a higher fence. When Move returns nil, it is durable.
	//
	// A reader that shares its name with others, one of whom works at a time, does so under a
	// lease: whoever was granted it first calls Move with its fence, from where the checkpoint is to
	// the same place. From then on all who held the lease before are refused.
	//
	// Errors: a *FencedError when the fence is lower than the checkpoint's; else a *CheckpointError
	// when it is elsewhere; ErrInvalid when a position or the fence is 2⁶³ or more; those of the
	// journal. After ErrUnknownOutcome, Load tells.
	Move(ctx context.Context, name string, fence Fence, from, to Position) error
}
