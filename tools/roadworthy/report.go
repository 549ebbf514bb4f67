package roadworthy

import (
	"io"
	"os"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/report"
)

// reportPages answers "report".
func reportPages(args []string, stdout, stderr io.Writer) int {
	return report.Run(args, os.Stdin, stdout, stderr, time.Now())
}
