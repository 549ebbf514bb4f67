// Package disk makes small file systems for tests, which are soon full.
package disk
