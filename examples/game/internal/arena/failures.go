package arena

import (
	"net/http"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Failures are the failure codes of the game service.
var Failures = failure.NewSet("game")

// What is wrong with a wish, whatever game it is about.
var (
	errUnknownGame = Failures.Caller(1001, "there is no such game", failure.HTTPStatus(http.StatusNotFound))

	errBadName      = Failures.Caller(1002, "a name is 1 to 40 printable characters without space around them")
	errBadTurnLimit = Failures.Caller(1003, "a turn limit is 1 second to 7 days")
	errBadStrength  = Failures.Caller(1004, "a bot's strength is easy, medium or hard")
	errBadSide      = Failures.Caller(1005, "a side is red or yellow")
	errBadRequestID = Failures.Caller(1006, "a request id is at most 64 printable characters")
	errBadState     = Failures.Caller(1007, "a state is waiting, running or finished")
	errBadPageSize  = Failures.Caller(1008, "a page size is 1 to 100, or 0 for 20")
	errBadPageToken = Failures.Caller(1009, "the page token does not belong to this list")

	errRequestReused = Failures.Caller(1010, "the request id was used for another wish",
		failure.HTTPStatus(http.StatusConflict), failure.GRPCCode(failure.GRPCAlreadyExists))
)

// Why a game cannot be made, joined or watched.
var (
	errTooManyGames = Failures.Service(1020, "there are too many open games",
		failure.HTTPStatus(http.StatusServiceUnavailable), failure.Retryable(time.Minute), failure.Alert(failure.Ticket))
	errSeatTaken = Failures.Caller(1021, "the seat is taken", failure.HTTPStatus(http.StatusConflict))

	errFuture = Failures.Caller(1022, "the position is in the game's future", failure.GRPCCode(failure.GRPCOutOfRange))

	errTooManyWatchers = Failures.Caller(1023, "too many are watching",
		failure.HTTPStatus(http.StatusTooManyRequests), failure.Retryable(10*time.Second))
)

// Why a move is refused.
var (
	errNoToken    = Failures.Caller(1030, "a seat token is needed", failure.HTTPStatus(http.StatusUnauthorized))
	errWrongToken = Failures.Caller(1031, "the seat token is not of this game", failure.HTTPStatus(http.StatusForbidden))

	errWaiting    = Failures.Caller(1040, "a seat is still open", failure.HTTPStatus(http.StatusConflict))
	errNotYou     = Failures.Caller(1041, "it is the other side's turn", failure.HTTPStatus(http.StatusConflict))
	errColumnFull = Failures.Caller(1042, "the column is full", failure.HTTPStatus(http.StatusConflict))
	errNoColumn   = Failures.Caller(1043, "a column is 0 to 6")
	errOver       = Failures.Caller(1044, "the game is over", failure.HTTPStatus(http.StatusConflict))
)

// What can be wrong with the journal.
var (
	errJournal = Failures.Dependency(1201, "the journal does not answer",
		failure.HTTPStatus(http.StatusServiceUnavailable), failure.Retryable(time.Second))
	errUncertain = Failures.Dependency(1202, "it is not known whether the wish was stored; repeat it with the same request id",
		failure.HTTPStatus(http.StatusServiceUnavailable))
	errUnreadable = Failures.Service(1203, "the record of the game cannot be read")
)
