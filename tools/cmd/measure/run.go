package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/measure"
)

const rounds = 11

// run takes all figures and prints them to w.
func run(ctx context.Context, w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "measure-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for _, name := range []string{"gamed", "gamefake"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, name), "./examples/game/cmd/"+name)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	listening := regexp.MustCompile(`"listener":"http".*"addr":"([^"]+)"`)
	programs := []struct {
		what string
		p    measure.Program
		of   func(*measure.Run) (time.Duration, error)
	}{
		{"`go run ./examples/demo` (built before) to the first page", measure.Program{
			Args:  []string{"go", "run", "./examples/demo", "-data", filepath.Join(dir, "demo")},
			Ready: regexp.MustCompile(`(http://127\.0\.0\.1:\d+)`), Path: "/",
		}, answered},
		{"gamed, started to the first answer", measure.Program{
			Args: []string{filepath.Join(dir, "gamed"), "-http.addr", "127.0.0.1:0", "-grpc.addr", "127.0.0.1:0",
				"-journal", "file:" + filepath.Join(dir, "games.db")},
			Ready: listening, Path: "/v1/games",
		}, answered},
		{"gamefake as a binary, started to its ready line", measure.Program{
			Args:  []string{filepath.Join(dir, "gamefake"), "-port", "0"},
			Ready: regexp.MustCompile(`"http":"([^"]+)"`),
		}, func(r *measure.Run) (time.Duration, error) { return r.Ready, nil }},
	}
	fmt.Fprintf(w, "| figure (%d runs) | min | median | max |\n|---|---|---|---|\n", rounds)
	for _, c := range programs {
		times, err := repeat(ctx, c.p, c.of)
		if err != nil {
			return fmt.Errorf("%s: %w", c.what, err)
		}
		fmt.Fprintf(w, "| %s | %v | %v | %v |\n", c.what, ms(slices.Min(times)), ms(measure.Median(times)), ms(slices.Max(times)))
	}
	sizes, err := repeat(ctx, programs[1].p, (*measure.Run).RSS)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "| gamed, resident memory after its first answer | %s | %s | %s |\n", mib(slices.Min(sizes)), mib(measure.Median(sizes)), mib(slices.Max(sizes)))
	return nil
}

// repeat runs p and takes a figure of each run.
func repeat[T any](ctx context.Context, p measure.Program, figure func(*measure.Run) (T, error)) ([]T, error) {
	figures := make([]T, 0, rounds)
	for range rounds {
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		r, err := measure.Start(limit, p)
		cancel()
		if err != nil {
			return nil, err
		}
		f, err := figure(r)
		stopped := r.Stop(ctx)
		if _, exited := errors.AsType[*exec.ExitError](stopped); exited && p.Args[0] == "go" {
			stopped = nil // "go run" exits with 1 when it is interrupted, whatever the program does
		}
		if err := errors.Join(err, stopped); err != nil {
			return nil, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func answered(r *measure.Run) (time.Duration, error) { return r.Answered, nil }

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
