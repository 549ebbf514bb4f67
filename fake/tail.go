package fake

import (
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	maxLines = 200
	maxLine  = 4 << 10 // bytes
)

// tail keeps the latest lines of a log.
type tail struct {
	mu    sync.Mutex
	lines []string
	n     int // lines written so far; line i is at i mod maxLines
}

// newTail makes a log that only the tail keeps.
func newTail() (*zap.Logger, *tail) {
	t := &tail{}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	enc.EncodeLevel = zapcore.CapitalLevelEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.AddSync(t), zapcore.InfoLevel)), t
}

// Write takes one line.
func (t *tail) Write(b []byte) (int, error) {
	line := strings.TrimSuffix(string(b[:min(len(b), maxLine)]), "\n")
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines) < maxLines {
		t.lines = append(t.lines, line)
	} else {
		t.lines[t.n%maxLines] = line
	}
	t.n++
	return len(b), nil
}

// String is what was kept, oldest first.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	oldest := 0
	if len(t.lines) == maxLines {
		oldest = t.n % maxLines
	}
	return strings.Join(append(t.lines[oldest:len(t.lines):len(t.lines)], t.lines[:oldest]...), "\n")
}
