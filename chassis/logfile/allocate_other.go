//go:build !linux

package logfile

import "os"

func allocate(*os.File, int64, int64) {}
