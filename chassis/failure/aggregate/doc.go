// Package aggregate makes few reports of many failures.
//
// A line of code that is broken fails thousands of times a second. What an operator wants to know
// of that is one thing: which line, since when, how often, and one example. So failures are first
// put together where they happen, before any of it goes over a network: those of the same
// failure code that were made at the same place are one group.
package aggregate
