// Package wary asks errors that others have made what package errors asks them.
//
// An error is a value with methods, and those of a nil pointer in an error interface panic as soon as they
// look at a field. Whoever classifies or logs a failure runs behind the recover of the handler that
// returned it, and outside of requests behind none at all: there such an error would end the process.
// Here a method that panics is an answer that says nothing.
package wary

import (
	"errors"
	"fmt"
)

// Is is [errors.Is], and false if that panics.
func Is(err, target error) (is bool) {
	defer ignore()
	return errors.Is(err, target)
}

// As is [errors.AsType], and false if that panics.
func As[T error](err error) (found T, ok bool) {
	defer ignore()
	return errors.AsType[T](err)
}

// Cause is what err wraps, the first of several; nil if it wraps nothing, or its method panics.
func Cause(err error) (cause error) {
	defer ignore()
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return e.Unwrap()
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			if cause != nil {
				return cause
			}
		}
	}
	return nil
}

// Text is what err says, or that its method panicked. A nil err says "<nil>".
func Text(err error) (text string) {
	if err == nil {
		return "<nil>"
	}
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprintf("%T, whose Error method panicked: %v", err, v) // fmt withstands a v of that sort
		}
	}()
	return err.Error()
}

func ignore() { _ = recover() }
