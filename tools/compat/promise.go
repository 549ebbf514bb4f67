package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// GivenUp is the file that names promises which are broken on purpose since the last release, one a line as
// [Promises] tells it, with # before a reason. It is emptied when a release is cut.
const GivenUp = "docs/given-up.txt"

// The files that say what a service promises: what -describe prints of it, and the failure codes that a module
// has ever declared.
const (
	described = "describe.txt"
	lockFile  = "failure_codes.lock"
)

// Promises compares what services and modules promised in a release with what they promise in the tree at
// root: their routes and gRPC methods, the names and kinds of their metrics, and of each failure code its class,
// HTTP status, gRPC code and whether it may be sent again. It reads the checked-in files that tests hold against
// the code, describe.txt and failure_codes.lock, and writes to out which it has compared. The error tells each
// promise that is broken and not in [GivenUp]. A failure code that a service no longer answers breaks nobody, as
// long as its number is kept.
func Promises(ctx context.Context, root string, against Release, out io.Writer) error {
	full, err := resolve(ctx, root, against)
	if err != nil {
		return err
	}
	files, err := listed(ctx, root, full, described, lockFile)
	if err != nil {
		return err
	}
	allowed, err := givenUp(root)
	if err != nil {
		return err
	}
	var broken []error
	for _, file := range files {
		before, err := git(ctx, root, "show", full+":"+file)
		if err != nil {
			return err
		}
		now, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		lost := lostPromises(file, before, string(now))
		lost = slices.DeleteFunc(lost, func(p string) bool { return slices.Contains(allowed, p) })
		for _, p := range lost {
			broken = append(broken, fmt.Errorf("%s: %s promised it", p, against.Version))
		}
		if len(lost) == 0 {
			fmt.Fprintf(out, "%s keeps what %s promised\n", file, against.Version)
		}
	}
	if len(broken) > 0 {
		broken = append(broken, fmt.Errorf("keep them, or name those that are given up on purpose in %s", GivenUp))
	}
	return errors.Join(broken...)
}

// listed are the files of a commit that have one of the names.
func listed(ctx context.Context, root, full string, names ...string) ([]string, error) {
	all, err := git(ctx, root, "ls-tree", "-r", "--name-only", full)
	if err != nil {
		return nil, err
	}
	var files []string
	for file := range strings.Lines(all) {
		if file = strings.TrimSpace(file); slices.Contains(names, path.Base(file)) {
			files = append(files, file)
		}
	}
	return files, nil
}

// givenUp reads [GivenUp], which need not be there.
func givenUp(root string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(GivenUp)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var promises []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			promises = append(promises, line)
		}
	}
	return promises, err
}

// lostPromises are those of the text before that the text now does not make, each behind the file's name.
func lostPromises(file, before, now string) []string {
	read := readDescription
	if path.Base(file) == lockFile {
		read = readLock
	}
	kept := map[string]string{}
	for line := range strings.Lines(now) {
		if p, terms := read(strings.TrimSpace(line)); p != "" {
			kept[p] = terms
		}
	}
	var lost []string
	for line := range strings.Lines(before) {
		p, terms := read(strings.TrimSpace(line))
		now, made := kept[p]
		answered := strings.HasPrefix(p, "failure ")
		switch {
		case p == "" || made && now == terms || !made && answered:
		case made:
			lost = append(lost, fmt.Sprintf("%s: %s is %s instead of %s", file, p, now, terms))
		default:
			lost = append(lost, fmt.Sprintf("%s: %s is gone", file, p))
		}
	}
	return lost
}

// readDescription is what a line of -describe promises, and on which terms; empty for what is no promise, such
// as the size of a queue.
func readDescription(line string) (promise, terms string) {
	words := strings.Fields(line)
	if len(words) < 2 {
		return "", ""
	}
	switch words[0] {
	case "http", "grpc": // and an address
		if len(words) > 2 {
			return words[0] + " " + strings.Join(words[2:], " "), ""
		}
	case "counter", "gauge", "histogram", "summary":
		return "metric " + strings.TrimSuffix(words[1], ":"), words[0]
	case "failure":
		name, rest, _ := strings.Cut(line, ", ")
		class, rest, _ := strings.Cut(rest, ": ")
		answer, _, _ := strings.Cut(rest, ": ") // and the message
		return name, class + ", " + answer
	}
	return "", ""
}

// readLock is what a line of a lock file promises: that the number is that code's for ever.
func readLock(line string) (promise, terms string) {
	words := strings.Fields(line)
	if len(words) < 3 || strings.HasPrefix(line, "#") {
		return "", ""
	}
	return "number " + words[1] + " of " + words[0], ""
}
