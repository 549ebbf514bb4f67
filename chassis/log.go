package chassis

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// newLogger builds the application log on w: lines of JSON, or columns for people on a
// terminal. Repeated lines are sampled: of those with the same text and level, the first
// hundred of each second and then one in a hundred. stderr is told when a line cannot be written.
func newLogger(cfg LogConfig, w, stderr io.Writer) *zap.Logger {
	format := cfg.Format
	if format == "auto" {
		format = "json"
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "console"
		}
	}
	enc := zap.NewProductionEncoderConfig()
	enc.TimeKey = "time"
	enc.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	enc.EncodeDuration = zapcore.StringDurationEncoder
	encoder := zapcore.NewJSONEncoder(enc)
	if format == "console" {
		enc.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
		enc.EncodeLevel = zapcore.CapitalLevelEncoder
		encoder = zapcore.NewConsoleEncoder(enc)
	}
	levels := newLevels(cfg)
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), levels.least)
	core = zapcore.NewSamplerWithOptions(core, time.Second, 100, 100)
	return zap.New(&leveledCore{Core: core, levels: levels}, zap.ErrorOutput(zapcore.Lock(zapcore.AddSync(stderr))))
}

func parseLevel(s string) (zapcore.Level, error) {
	switch s {
	case "debug", "info", "warn", "error":
		return zapcore.ParseLevel(s)
	}
	return 0, fmt.Errorf("want debug, info, warn or error, got %q", s)
}

// levels holds the least severe level written, for every logger and for single ones.
type levels struct {
	byName   map[string]zapcore.Level
	standard zapcore.Level
	least    zapcore.Level // of all of these
}

// newLevels reads validated settings.
func newLevels(cfg LogConfig) levels {
	l := levels{byName: map[string]zapcore.Level{}}
	l.standard, _ = parseLevel(cfg.Level)
	l.least = l.standard
	for name, s := range cfg.Levels {
		level, _ := parseLevel(s)
		l.byName[name] = level
		l.least = min(l.least, level)
	}
	return l
}

// of is the level for a logger: its own, or that of the last part of its name that has one
// ("game.journal" is found under "game.journal" and "journal"), or the standard one.
func (l levels) of(name string) zapcore.Level {
	for {
		if level, ok := l.byName[name]; ok {
			return level
		}
		_, rest, ok := strings.Cut(name, ".")
		if !ok {
			return l.standard
		}
		name = rest
	}
}

// leveledCore applies levels by the logger's name, which zap itself cannot.
type leveledCore struct {
	zapcore.Core
	levels levels
}

func (c *leveledCore) With(fields []zapcore.Field) zapcore.Core {
	return &leveledCore{c.Core.With(fields), c.levels}
}

func (c *leveledCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level < c.levels.of(e.LoggerName) {
		return ce
	}
	return c.Core.Check(e, ce)
}
