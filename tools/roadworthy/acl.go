package roadworthy

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing/fstest"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/config"
)

const explainUsage = `usage: roadworthy acl explain -config FILE [-listener KEY] [flags] ADDR PATH
       roadworthy acl explain [flags] ADDR PATH

Says whether a client may call a path, which rule decides, and where it is written. ADDR is the client's
address, or unix for a peer of a unix socket; PATH is as it is called, or a gRPC method such as
/game.v1.Game/Move. The rules are those in the section acl of a listener in a service's configuration file,
with what flags set instead. The service's environment and its own flags are not seen. Files of prefixes
are looked for from here.

It exits with 0 if the client may call, 1 if not, 2 if something is wrong.

`

// explain answers "acl explain".
func explain(args []string, stdout, stderr io.Writer) int {
	x, err := askedOf(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitYes
	case errors.Is(err, errSaid):
		return exitWrong
	}
	var e acl.Explanation
	if err == nil {
		e, err = x.explain(stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "roadworthy acl explain: %v\n", err)
		return exitWrong
	}
	if !e.Verdict.Allowed() {
		return exitNo
	}
	return exitYes
}

// errSaid: package flag has said what is wrong.
var errSaid = errors.New("said already")

// An explaining is one call of "acl explain".
type explaining struct {
	file, listener string
	cfg            acl.Config
	set            *config.Set
	client         netip.Addr
	path           string
}

// askedOf reads the arguments. Help goes to stdout.
func askedOf(args []string, stdout, stderr io.Writer) (*explaining, error) {
	x := &explaining{}
	set, err := config.New("roadworthy", &x.cfg)
	if err != nil {
		return nil, err
	}
	x.set = set
	flags := flag.NewFlagSet("roadworthy acl explain", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&x.file, "config", "", "the service's configuration, a YAML `file`")
	flags.StringVar(&x.listener, "listener", "http", "the `key` of the listener's section in it")
	if err := set.Flags(flags); err != nil {
		return nil, err
	}
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), explainUsage)
		flags.PrintDefaults()
	}
	for _, a := range args {
		if a == "-h" || a == "-help" || a == "--help" {
			flags.SetOutput(stdout)
		}
	}
	if err := flags.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = errSaid
		}
		return nil, err
	}
	if flags.NArg() != 2 {
		return nil, fmt.Errorf("want ADDR and PATH behind the flags, got %d arguments: %q", flags.NArg(), flags.Args())
	}
	if x.client, err = clientOf(flags.Arg(0)); err != nil {
		return nil, err
	}
	if x.path = flags.Arg(1); !strings.HasPrefix(x.path, "/") {
		return nil, fmt.Errorf("want a path such as /admin or a gRPC method such as /game.v1.Game/Move, got %q", x.path)
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	switch {
	case x.file == "" && given["listener"]:
		return nil, errors.New("-listener names a section of a configuration: name that with -config")
	case x.file == "" && !given["allow"] && !given["deny"] && !given["routes"]:
		return nil, errors.New("there are no rules: name a configuration with -config, or give some with -allow, -deny or -routes")
	}
	return x, nil
}

// clientOf reads an address; unix is the zero Addr.
func clientOf(text string) (netip.Addr, error) {
	if text == "unix" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, fmt.Errorf("want an address without a port, or unix, got %q", text)
	}
	return a, nil
}

// explain writes the explanation.
func (x *explaining) explain(stdout io.Writer) (acl.Explanation, error) {
	var source config.Sources
	if x.file != "" {
		data, err := os.ReadFile(x.file)
		if err != nil {
			return acl.Explanation{}, err
		}
		written, ok, err := section(data, append(strings.Split(x.listener, "."), "acl"))
		if err != nil {
			return acl.Explanation{}, fmt.Errorf("%s: %w", x.file, err)
		}
		if !ok {
			fmt.Fprintf(stdout, "%s: %s has no section acl\n", x.file, x.listener)
		}
		source.File = x.file
		source.Open = func(string) (fs.File, error) { return fstest.MapFS{"f": {Data: written}}.Open("f") }
	}
	if err := x.set.Load(source); err != nil {
		return acl.Explanation{}, err
	}
	guard, err := acl.New(x.cfg)
	if err != nil {
		return acl.Explanation{}, err
	}
	e := guard.Explain(x.client, x.path)
	_, err = fmt.Fprintln(stdout, e)
	if err == nil && e.Ruled {
		_, err = fmt.Fprintf(stdout, "that is set by %s\n", x.origin(e))
	}
	return e, err
}

// origin is where the list that decided is set.
func (x *explaining) origin(e acl.Explanation) config.Source {
	key := e.Origin.Key
	switch {
	case e.Route != "":
		key = "routes"
	case key == "": // it was not found in the allow list
		key = "allow"
	}
	f, _ := x.set.Lookup(key)
	return f.Source
}
