// Package arena is where games are played: it decides which wishes become events of a game,
// keeps these in a journal, and tells everybody who watches.
//
// An [Arena] holds every open game in memory, folded from its events, and a bounded number of
// finished ones; the journal is the truth. Several processes may have an arena on one journal.
// Three rules make that safe:
//
//   - A wish is decided on the game as it stands at a position, and its events are appended only
//     if the game still stands there. Whoever was overtaken reads on and decides again.
//   - A refusal is given only after looking whether the game has moved on elsewhere.
//   - Every arena follows the whole journal ([Arena.Run]), so its watchers, clocks and bots see
//     what others append.
//
// Events carry ids made from the wish's request id. A repeated wish finds the event of the
// first, in whatever process and after whatever restart, and is answered with the game as that
// event left it.
//
// Each open game has one timer: for the side to move when there is a turn limit, else for the
// day on which nobody cares any more. When it is a bot's turn, one computation per game and ply is
// put into a bounded queue; if that is full, the arena tries again later, so nothing is lost and
// nothing piles up.
//
// Everything here returns failures of [Failures]; those that nobody outside can provoke (a
// journal that is damaged) included.
package arena
