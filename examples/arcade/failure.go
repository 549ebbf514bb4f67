package arcade

import (
	"net/http"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// failures are the failures of the arcade.
var failures = failure.NewSet("arcade")

// What the game service does to us.
var (
	errUnreachable = failures.Dependency(2001, "the game service cannot be reached",
		failure.HTTPStatus(http.StatusServiceUnavailable), failure.Retryable(5*time.Second))
	errBusy = failures.Dependency(2002, "the game service cannot do this right now",
		failure.HTTPStatus(http.StatusServiceUnavailable), failure.Retryable(2*time.Second))
	errSlow = failures.Dependency(2003, "the game service did not answer in time",
		failure.HTTPStatus(http.StatusGatewayTimeout))
	errBroken = failures.Dependency(2004, "the game service failed")
	errUnsure = failures.Dependency(2005, "it is not known whether this was done",
		failure.HTTPStatus(http.StatusServiceUnavailable))
)

// What browsers send that never reaches the game service.
var (
	errForeign = failures.Caller(2010, "the form did not come from this site", failure.HTTPStatus(http.StatusForbidden))
	errForm    = failures.Caller(2011, "the form is not filled in correctly")
	errNoSeat  = failures.Caller(2012, "this browser has no seat in the game", failure.HTTPStatus(http.StatusForbidden))
	errPly     = failures.Caller(2013, "the game has no such move", failure.HTTPStatus(http.StatusNotFound))
	errNoID    = failures.Caller(2014, "there is no such game", failure.HTTPStatus(http.StatusNotFound))
	errEnded   = failures.Caller(2015, "the game is over", failure.HTTPStatus(http.StatusConflict))
	errNoForm  = failures.Caller(2016, "the form cannot be read")
)

// What the game service refuses.
var (
	errNoGame  = failures.Caller(2020, "there is no such game", failure.HTTPStatus(http.StatusNotFound))
	errSeat    = failures.Caller(2021, "the seat is taken", failure.HTTPStatus(http.StatusConflict))
	errTurn    = failures.Caller(2022, "it is not your turn", failure.HTTPStatus(http.StatusConflict))
	errFull    = failures.Caller(2023, "the column is full", failure.HTTPStatus(http.StatusConflict))
	errOver    = failures.Caller(2024, "the game is over", failure.HTTPStatus(http.StatusConflict))
	errWaiting = failures.Caller(2025, "the game has not begun", failure.HTTPStatus(http.StatusConflict))
	errToken   = failures.Caller(2026, "the seat is not yours", failure.HTTPStatus(http.StatusForbidden))
	errName    = failures.Caller(2027, "the name cannot be used")
	errReused  = failures.Caller(2028, "the form has been used already", failure.HTTPStatus(http.StatusConflict))
	errRefused = failures.Caller(2029, "the game service refused the request")
)

// byNumber is what the arcade answers to a failure of the game service, nil for those that are told
// apart by their gRPC status.
func byNumber(n int) *failure.Code {
	switch n {
	case 1001:
		return errNoGame
	case 1002:
		return errName
	case 1010:
		return errReused
	case 1021:
		return errSeat
	case 1030, 1031:
		return errToken
	case 1040:
		return errWaiting
	case 1041:
		return errTurn
	case 1042:
		return errFull
	case 1044:
		return errOver
	case 1202:
		return errUnsure
	}
	return nil
}

// place is a failure code by set and number.
type place struct {
	set    string
	number int
}

// advice says what a person can do about a failure.
var advice = map[place]string{
	{"arcade", 2001}: "Your game is safe. Wait a few seconds and load the page again.",
	{"arcade", 2002}: "Wait a few seconds and load the page again.",
	{"arcade", 2003}: "Look at the game, or send the form again: what you do counts once.",
	{"arcade", 2004}: "Look at the game before you try again. If it happens again, tell us the error id.",
	{"arcade", 2005}: "Look at the game, or send the form again: what you do counts once.",
	{"arcade", 2010}: "Open the page here and send the form from it.",
	{"arcade", 2011}: "Go back, correct it and send it again.",
	{"arcade", 2012}: "Only the players of a game can do this. If you joined with another browser, go on there.",
	{"arcade", 2013}: "Start the replay from the beginning.",
	{"arcade", 2014}: "Look at the link again: a single wrong letter is enough. Or start a new game.",
	{"arcade", 2015}: "You can replay it move by move, or start a new one.",
	{"arcade", 2016}: "Go back and send it again.",
	{"arcade", 2020}: "Look at the link again: a single wrong letter is enough. Or start a new game.",
	{"arcade", 2021}: "Somebody was faster. You can watch the game, or start one of your own.",
	{"arcade", 2022}: "Wait for the other side to move.",
	{"arcade", 2023}: "Choose a column that has room.",
	{"arcade", 2024}: "You can replay it move by move, or start a new one.",
	{"arcade", 2025}: "Somebody must take the other seat first. Share the link of the game.",
	{"arcade", 2026}: "If you joined with another browser, go on there.",
	{"arcade", 2027}: "Choose one of 1 to 40 letters, digits and other visible characters.",
	{"arcade", 2028}: "What you chose first counts. Look at the game before you choose again.",
	{"arcade", 2029}: "Go back and try something else.",

	{"chassis", 2}:   "Load the page again in a moment.",
	{"chassis", 404}: "Look at the address again, or go on in the lobby.",
	{"chassis", 405}: "This address does not take that kind of request. Go on in the lobby.",
	{"chassis", 503}: "Load the page again in a moment.",
}

func adviceFor(p failure.Problem) string {
	if text, ok := advice[place{p.Set, p.Code}]; ok {
		return text
	}
	if p.Status >= http.StatusInternalServerError {
		return "It is not your fault. If it happens again, tell us the error id."
	}
	return "Go back and try again."
}
