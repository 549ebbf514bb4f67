// Package control is the frame of the control planes of network fakes: JSON over HTTP on loopback,
// of which GET / lists what there is, and the life of the program that serves it.
package control
