package chassis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

// LogFilesConfig is the life of the files of logs in a directory of segments (package logfile): of
// log.path and access_log.path where these end with /. A zero field means its default.
type LogFilesConfig struct {
	RotateSize  config.Size   `config:"rotate_size" doc:"size at which a segment is ended"`
	RotateEvery time.Duration `config:"rotate_every" doc:"age at which a segment is ended"`
	// Linger is for programs that follow segments ([logfile.CollectorOptions]).
	Linger time.Duration `config:"linger" doc:"how long an ended segment stays as it is before it is compressed"`
	// Keep is for what has been uploaded, and for everything where nothing is uploaded.
	Keep   time.Duration `config:"keep" doc:"how long compressed segments stay after their last line; uploads that failed are tried for longer"`
	Budget config.Size   `config:"budget" doc:"size that all segments together may have; beyond it the oldest go, uploaded ones first"`
	// CollectEvery is how often is looked for segments to compress, upload and remove.
	CollectEvery time.Duration `config:"collect_every" doc:"how often ended segments are compressed, uploaded and removed"`
	// Prefix is by default the name of the service and that of the machine.
	Prefix string `config:"prefix" doc:"what keys in the bucket begin with, before stream, day and name; by default SERVICE/HOST"`
}

// SetDefaults fills what is zero.
func (c *LogFilesConfig) SetDefaults() {
	set(&c.RotateSize, 64<<20)
	set(&c.RotateEvery, time.Hour)
	set(&c.Keep, 7*24*time.Hour)
	set(&c.Budget, 1<<30)
	set(&c.CollectEvery, 5*time.Second)
}

// minSegment keeps the files of a busy log from being countless.
const minSegment = 64 << 10

// Validate refuses what has no bound or no room.
func (c *LogFilesConfig) Validate() error {
	switch {
	case c.RotateSize < minSegment:
		return config.Invalid("rotate_size", "want %v or more, got %v", config.Size(minSegment), c.RotateSize)
	case c.Budget < 2*c.RotateSize:
		return config.Invalid("budget", "want twice of rotate_size or more (%v), got %v: one segment is written while another one is compressed", 2*c.RotateSize, c.Budget)
	case c.RotateEvery < time.Second:
		return config.Invalid("rotate_every", "want 1s or more, got %v", c.RotateEvery)
	case c.CollectEvery < 100*time.Millisecond:
		return config.Invalid("collect_every", "want 100ms or more, got %v", c.CollectEvery)
	case c.Linger < 0:
		return config.Invalid("linger", "want 0 or more, got %v", c.Linger)
	case c.Keep < 0:
		return config.Invalid("keep", "want more than 0, got %v", c.Keep)
	case c.Prefix != "" && !fs.ValidPath(c.Prefix):
		return config.Invalid("prefix", "want a slash-separated path without empty parts, . and .., got %q", c.Prefix)
	}
	return nil
}

// logFiles are the files of the service's logs.
type logFiles struct {
	dir       string // of segments, "" when there are none
	streams   []*logStream
	app       io.Closer                         // what the application log writes to, when it is to be closed
	bucket    logfile.Bucket                    // guarded by Service.mu
	collector atomic.Pointer[logfile.Collector] // nil until the service is ready
}

type logStream struct {
	name string
	*logfile.Stream
}

// finalCollect bounds how long a service that ends uploads what it has just written.
const finalCollect = 5 * time.Second

// ShipLogs has the segments of the logs uploaded to b. It has an effect where log.path or
// access_log.path is a directory, and belongs into Setup.
func (s *Service) ShipLogs(b logfile.Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logFiles.bucket = b
}

// openLog opens what log.path names.
func (s *Service) openLog() error {
	if s.world.Log == nil {
		var out io.Writer = s.world.Stderr
		if cfg := s.settings.Log; cfg.Path != "-" {
			f, err := s.openLogFile("app", cfg.Path)
			if err != nil {
				return fmt.Errorf("log.path: open the log: %w", err)
			}
			out, s.logFiles.app = f, f
		}
		s.world.Log = newLogger(s.settings.Log, out, s.world.Stderr)
	}
	s.log = s.world.Log.Named(s.name)
	return nil
}

// openLogFile opens a file, or the directory of segments of a stream.
func (s *Service) openLogFile(stream, path string) (io.WriteCloser, error) {
	if !strings.HasSuffix(path, "/") {
		return accesslog.OpenFile(path)
	}
	dir := filepath.Clean(path)
	if s.logFiles.dir != "" && s.logFiles.dir != dir {
		return nil, fmt.Errorf("%s is another directory of segments than log.path (%s): want one for both", dir, s.logFiles.dir)
	}
	generation := 0
	if s.world.host != nil {
		generation = s.world.host.Worker()
	}
	cfg := s.settings.Log.Files
	f, err := logfile.Open(logfile.StreamOptions{
		Dir: dir, Stream: stream, Generation: generation, MaxSize: int64(cfg.RotateSize), MaxAge: cfg.RotateEvery, Full: s.diskFull, Clock: s.world.Clock,
	})
	if err != nil {
		return nil, err
	}
	s.logFiles.dir = dir
	s.logFiles.streams = append(s.logFiles.streams, &logStream{stream, f})
	return f, nil
}

// diskFull has the collector make room.
func (s *Service) diskFull() {
	if c := s.logFiles.collector.Load(); c != nil {
		c.Full()
	}
}

// keepLogFiles shows what this process writes, and collects what it and others have written, now
// that it is the one that serves.
func (s *Service) keepLogFiles() {
	if s.logFiles.dir == "" {
		return
	}
	for _, l := range s.logFiles.streams {
		if err := l.Show(); err != nil {
			s.log.Warn("the link to what is written of a log leads elsewhere", zap.Error(err))
		}
	}
	s.mu.Lock()
	bucket := s.logFiles.bucket
	s.mu.Unlock()
	cfg := s.settings.Log.Files
	if cfg.Prefix == "" {
		cfg.Prefix = path.Join(s.name, hostname())
	}
	c, err := logfile.NewCollector(logfile.CollectorOptions{
		Dir: s.logFiles.dir, Bucket: bucket, Prefix: cfg.Prefix, Every: cfg.CollectEvery, Linger: cfg.Linger, Keep: cfg.Keep, Budget: int64(cfg.Budget), Log: s.collectFailed, Clock: s.world.Clock,
	})
	if err != nil {
		s.end(err)
		return
	}
	s.logFiles.collector.Store(c)
	s.Go("log files", func(ctx context.Context) error {
		// Another worker is to go on at once, not when the last request has been answered here.
		collecting, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			select {
			case <-s.leaving:
				cancel()
			case <-collecting.Done():
			}
		}()
		return c.Run(collecting)
	})
}

// hostname is that of the machine, as a part of a key.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || !fs.ValidPath(name) || strings.Contains(name, "/") {
		return "host"
	}
	return name
}

// collectFailed logs what is wrong with the files of logs, and when it is over.
func (s *Service) collectFailed(err error) {
	if err == nil {
		s.log.Info("log segments are collected again")
		return
	}
	s.log.Warn("log segments wait", zap.Error(err))
}

// closeLog closes the application log.
func (s *Service) closeLog() error {
	if s.logFiles.app == nil {
		return nil
	}
	return s.logFiles.app.Close()
}

// closeLogFiles closes the application log, after its last line. Where no other process goes on, what was
// written in the end is compressed and uploaded as well; what cannot be waits for the next start.
func (s *Service) closeLogFiles(ctx context.Context) error {
	err := s.closeLog()
	c := s.logFiles.collector.Load()
	if c == nil || s.replaced.Load() {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, finalCollect)
	defer cancel()
	last := await(ctx, closeGrace, func(ctx context.Context) error {
		defer c.Close()
		return c.Collect(ctx)
	})
	if last != nil && !errors.Is(last, logfile.ErrBusy) {
		err = errors.Join(err, fmt.Errorf("log segments wait for the next start: %w", last))
	}
	return err
}

// collected is what the collector has counted.
func (s *Service) collected() logfile.CollectorStats {
	if c := s.logFiles.collector.Load(); c != nil {
		return c.Stats()
	}
	return logfile.CollectorStats{}
}

// logFileStats is what the metrics say of the files of logs.
func (s *Service) logFileStats() kpi.LogFileStats {
	c := s.collected()
	out := kpi.LogFileStats{
		Waiting: c.Waiting, WaitingBytes: c.WaitingBytes, Lag: c.Lag, Disk: c.Disk, Budget: int64(s.settings.Log.Files.Budget),
		Packed: c.Packed, Uploaded: c.Uploaded, Bytes: c.Bytes, Errors: c.Errors, Streams: map[string]kpi.LogStreamStats{},
	}
	for name, l := range c.Streams {
		out.Streams[name] = kpi.LogStreamStats{Uploaded: l.Uploaded, Expired: l.Expired, Dropped: l.Dropped}
	}
	for _, l := range s.logFiles.streams {
		stats := out.Streams[l.name]
		stats.Errors = l.Stats().Errors
		out.Streams[l.name] = stats
	}
	return out
}

// streamTable shows the logs that are segments.
func (s *Service) streamTable() StatusTable {
	t := StatusTable{Title: "Log segments", Columns: []string{"log", "written now", "begun", "bytes", "errors", "last error", "lines uploaded", "expired", "dropped"}}
	lines := s.collected().Streams
	row := func(name, segment, begun, bytes, errs, last string) {
		l := lines[name]
		t.Rows = append(t.Rows, []string{name, segment, begun, bytes, errs, last, fmt.Sprint(l.Uploaded), fmt.Sprint(l.Expired), fmt.Sprint(l.Dropped)})
		delete(lines, name)
	}
	for _, l := range s.logFiles.streams {
		st := l.Stats()
		row(l.name, st.Segment, fmt.Sprint(st.Segments), bytesInWords(st.Bytes), fmt.Sprint(st.Errors), textOf(st.LastError))
	}
	for _, name := range slices.Sorted(maps.Keys(lines)) { // of logs that this process does not write
		row(name, "", "", "", "", "")
	}
	return t
}

// collectorTable shows what became of segments.
func (s *Service) collectorTable() StatusTable {
	t := StatusTable{Title: "Log collection", Columns: []string{"collects", "waiting", "bytes", "lag", "uploaded", "on disk", "budget", "errors", "last error"}}
	if s.logFiles.dir == "" {
		return t
	}
	c, collects := s.collected(), "another process"
	if c.Active {
		collects = "this process"
	}
	t.Rows = [][]string{{
		collects, fmt.Sprint(c.Waiting), bytesInWords(uint64(c.WaitingBytes)), c.Lag.Round(time.Second).String(), fmt.Sprintf("%d (%s)", c.Uploaded, bytesInWords(c.Bytes)),
		bytesInWords(uint64(c.Disk)), bytesInWords(uint64(s.settings.Log.Files.Budget)), fmt.Sprint(c.Errors), textOf(c.LastError),
	}}
	return t
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
