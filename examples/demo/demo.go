package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
	"github.com/seed-754044b3/roadworthy/examples/game"
)

// Run runs both services until ctx ends and returns the exit code: 0 after a stop that was asked
// for, 1 when something failed, 2 when the arguments were wrong.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	data := flags.String("data", "", "`directory` that keeps the games; by default one in your cache directory")
	verbose := flags.Bool("v", false, "show the logs of the services")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "demo: unknown argument %q; -h shows the flags\n", flags.Arg(0))
		return 2
	}
	err := run(ctx, *data, *verbose, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, data string, verbose bool, stdout, stderr io.Writer) error {
	data, err := dataDirectory(data)
	if err != nil {
		return err
	}
	d := &demo{data: data, verbose: verbose}
	d.world = chassis.World{Stdout: stderr, Stderr: stderr, Listen: d.listen}
	if d.game, err = chassis.Start(ctx, game.Spec, d.gameConfig, d.world); err != nil {
		if errors.Is(err, journal.ErrCorrupt) || errors.Is(err, journal.ErrInvalid) { // damaged, or of another release
			err = fmt.Errorf("%w; to begin anew remove %s, or name another directory with -data", err, data)
		}
		return err
	}
	if d.arcade, err = chassis.Start(ctx, arcade.Spec, d.arcadeConfig, d.world); err != nil {
		return errors.Join(err, d.game.Stop(context.WithoutCancel(ctx)))
	}
	d.describe(stdout)
	select {
	case <-ctx.Done():
		fmt.Fprintln(stdout, "Stopping. Your games are kept.")
	case <-d.game.Done():
	case <-d.arcade.Done():
	}
	// The front ends first, so that nobody asks a game service that is gone.
	ctx = context.WithoutCancel(ctx)
	return errors.Join(d.arcade.Stop(ctx), d.game.Stop(ctx))
}

// dataDirectory makes the directory that is asked for, or the usual one, which is the same each time.
func dataDirectory(path string) (string, error) {
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a directory to keep the games in: %w; name one with -data", err)
		}
		path = filepath.Join(cache, "roadworthy-demo")
	}
	path, err := filepath.Abs(path)
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("make the directory that keeps the games: %w", err)
	}
	return path, nil
}

// demo is both services.
type demo struct {
	data    string
	verbose bool
	world   chassis.World
	game    *chassis.Instance
	arcade  *chassis.Instance
	moved   []string // addresses that were taken
}

func (d *demo) settings(s *chassis.Settings, admin string) {
	s.Admin.Addr = admin
	s.Log.Format = "console"
	if !d.verbose {
		s.Log.Level, s.AccessLog.Path = "warn", "off"
	}
}

func (d *demo) gameConfig(s *chassis.Settings, c *game.Config) {
	d.settings(s, "127.0.0.1:8081")
	c.Journal = "file:" + filepath.ToSlash(filepath.Join(d.data, "games.db"))
	c.GRPC.Reflection = true
}

func (d *demo) arcadeConfig(s *chassis.Settings, c *arcade.Config) {
	d.settings(s, "127.0.0.1:8001")
	c.Game = grpcclient.Config{Addr: d.game.Addr("grpc").String()}
}

// describe says where everything is, in one write.
func (d *demo) describe(w io.Writer) {
	var b strings.Builder
	fmt.Fprintf(&b, `Connect Four is open. Stop it with Ctrl-C.

  play      http://%s/
  JSON      curl http://%[2]s/v1/games
  OpenAPI   http://%[2]s/openapi.json
  gRPC      grpcurl -plaintext %[3]s list
  status    http://%[4]s/status (pages)
            http://%[5]s/status (game service)
  games     %[6]s

`, d.arcade.Addr("http"), d.game.Addr("http"), d.game.Addr("grpc"), d.arcade.Addr("admin"), d.game.Addr("admin"), d.data)
	if len(d.moved) > 0 {
		fmt.Fprintf(&b, "Other processes listen on %s, so free ports were taken instead.\n\n", strings.Join(d.moved, ", "))
	}
	_, _ = io.WriteString(w, b.String()) // whoever closed the output does not want to read it
}
