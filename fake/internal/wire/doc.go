// Package wire is the transport of a network fake: connections of TCP that go wrong when they are
// told to, by [Conn.Arm], and cost next to nothing while they are not.
//
// A [Trouble] is found by what the server writes. It strikes as soon as it can, or when a number
// of bytes has gone out that is counted from when it was armed, so that the beginning of an
// answer reaches the client and the rest does not. What counts is what is on the wire: header,
// frames and, under TLS, its records.
//
// HTTP/2 is followed frame by frame: a GOAWAY goes between two of them and nowhere else. Where there
// is TLS, the server gives [Conn.Inside] a look at what it encrypts; all other trouble stays outside,
// where networks are, and is not authenticated by TLS, as theirs is not.
package wire
