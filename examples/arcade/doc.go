// Package arcade is the web front of the game service: pages on which people play Connect Four
// in a browser.
//
// It is a service on the chassis like the game service itself, and it keeps nothing: every
// request is farmed out over gRPC, with a deadline, and with the request's id and trace passed
// on. Of the game it knows the contract (package gamev1) and the numbers of its failures; its
// tests run against the game's network fake. A seat, the right to move for one side, is a
// cookie that belongs to the address of one game.
//
// The pages work without JavaScript: a move is a form that is posted and answered with a
// redirect, so that a reload never repeats it, and every form carries an id that makes sending
// it twice the same as sending it once. With JavaScript the same pages are live. The browser
// holds a stream of Server-Sent Events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html) in which the arcade sends
// the board as it stands after each event of the game; a browser that was cut off resumes
// behind the last one it saw.
//
// Failures are pages in a browser, with the status that belongs to them and what can be done,
// and RFC 9457 problem documents for everybody else.
package arcade
