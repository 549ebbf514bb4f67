// Package bot chooses moves in Connect Four for a computer player.
//
// [Move] is the whole of it: position, strength and randomness in, column out.
// It keeps nothing between calls, so one call never influences another, any
// number may run at once, and equal arguments give the equal move:
//
//	random := rand.New(rand.NewPCG(1, 2))
//	column, err := bot.Move(ctx, board, bot.Hard, random)
//
// Medium and Hard search the tree of moves with alpha-beta pruning and
// iterative deepening, Hard with a transposition table besides. How much they
// search is bounded in positions and not in time, because a move that depends
// on how busy the machine was can neither be replayed nor tested. The number of
// positions is chosen so that the time is bounded as well; the caller's context
// is the limit for the machine that is slower still.
//
// Connect Four is solved: James D. Allen and Victor Allis showed independently
// in 1988 that Red wins from the empty board, and only by starting in the
// centre. Hard starts there and plays the end of the game perfectly, but does
// not know the proof: a player who does can beat it.
package bot
