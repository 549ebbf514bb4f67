package chassis

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// ownCommand is a command that every daemon has.
type ownCommand struct {
	name, doc string
	run       func(ctx context.Context, program, dir string, args []string, out io.Writer) error
}

// ownCommands ask the daemon that runs.
var ownCommands = []ownCommand{
	{"reload", "replace the worker of the daemon that runs, and wait until the new one is ready", reloadCommand},
	{"status", "say what runs; -json says it as JSON", statusCommand},
	{"workers", "list the worker processes", workersCommand},
	{"stop", "have the daemon that runs drain, and wait until it has ended", stopCommand},
}

// ownCommandOf is the chassis's command that the arguments name; nil when they name none.
func ownCommandOf(args []string) *ownCommand {
	if len(args) == 0 {
		return nil
	}
	i := slices.IndexFunc(ownCommands, func(c ownCommand) bool { return c.name == args[0] })
	if i < 0 {
		return nil
	}
	return &ownCommands[i]
}

// runDirectory is the run directory, and whether somebody asked for it.
func (p process) runDirectory(flag string) (dir string, named bool) {
	if flag != "" {
		return flag, true
	}
	get := func(name string) string {
		value := ""
		for _, kv := range p.env {
			if k, v, _ := strings.Cut(kv, "="); k == name {
				value = v
			}
		}
		return value
	}
	name := strings.TrimSuffix(p.program, "d")
	if dir := get(strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_RUN_DIR"); dir != "" {
		return dir, true
	}
	return reload.Directory(p.program, get), false
}

func noArguments(args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("want no arguments, got %q", args[0])
	}
	return nil
}

func reloadCommand(ctx context.Context, _, dir string, args []string, out io.Writer) error {
	if err := noArguments(args); err != nil {
		return err
	}
	o, _, err := reload.Ask(ctx, dir, reload.CommandReload)
	if err != nil {
		return err
	}
	if o.Error != "" {
		return fmt.Errorf("%s: %s", o.Reason, o.Error)
	}
	_, err = fmt.Fprintf(out, "worker %d is ready after %v, process %d\n", o.Worker, o.Took.Round(100*time.Microsecond), o.PID)
	return err
}

func stopCommand(ctx context.Context, _, dir string, args []string, _ io.Writer) error {
	if err := noArguments(args); err != nil {
		return err
	}
	_, _, err := reload.Ask(ctx, dir, reload.CommandStop)
	return err
}

func statusCommand(ctx context.Context, program, dir string, args []string, out io.Writer) error {
	asJSON := len(args) == 1 && args[0] == "-json"
	if !asJSON {
		if err := noArguments(args); err != nil {
			return err
		}
	}
	_, st, err := reload.Ask(ctx, dir, reload.CommandStatus)
	if err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(st)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tprocess %d, since %s\n", program, st.Supervisor, st.Started.Format(time.DateTime))
	fmt.Fprintf(w, "binary\t%s\n", st.Binary)
	fmt.Fprintf(w, "run directory\t%s\n", st.Directory)
	for _, s := range st.Sockets {
		fmt.Fprintf(w, "listener\t%s on %s\n", s.Name, s.Address)
	}
	for _, wk := range st.Workers {
		fmt.Fprintf(w, "worker\t%s\n", describeWorker(wk))
	}
	c := st.Counts
	var failed uint64
	for _, n := range c.Failed {
		failed += n
	}
	fmt.Fprintf(w, "reloads\t%d, failed %d; crashes %d, killed %d, rollbacks %d\n", c.Reloads, failed, c.Crashes, c.Killed, c.Rollbacks)
	if o := st.Last; o != nil {
		how := fmt.Sprintf("worker %d ready after %v", o.Worker, o.Took.Round(100*time.Microsecond))
		if o.Error != "" {
			how = fmt.Sprintf("worker %d failed: %s: %s", o.Worker, o.Reason, o.Error)
		}
		fmt.Fprintf(w, "last start\t%s, %s\n", o.Time.Format(time.DateTime), how)
	}
	return w.Flush()
}

func describeWorker(w reload.WorkerStatus) string {
	version := ""
	if w.Version != "" {
		version = ", version " + w.Version
	}
	return fmt.Sprintf("%d, process %d, %s since %s%s", w.Worker, w.PID, w.Phase, w.Since.Format(time.DateTime), version)
}

func workersCommand(ctx context.Context, _, dir string, args []string, out io.Writer) error {
	if err := noArguments(args); err != nil {
		return err
	}
	_, st, err := reload.Ask(ctx, dir, reload.CommandStatus)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WORKER\tPROCESS\tPHASE\tSINCE\tVERSION")
	for _, wk := range st.Workers {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\n", wk.Worker, wk.PID, wk.Phase, wk.Since.Format(time.DateTime), wk.Version)
	}
	return w.Flush()
}
