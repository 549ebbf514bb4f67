package compat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// contract is the file that buf finds in each folder with protobuf contracts.
const contract = "buf.yaml"

// Breaking compares every protobuf contract of the repository at root with that of a release, by the program
// buf and the rules under "breaking" in the contract's buf.yaml, and writes to out what it has compared. The
// error tells every change that breaks callers, and every contract that is gone; a contract that the release
// does not have is new and breaks nobody.
func Breaking(ctx context.Context, root, buf string, against Release, out io.Writer) error {
	full, err := resolve(ctx, root, against)
	if err != nil {
		return err
	}
	files, err := listed(ctx, root, full, contract)
	if err != nil {
		return err
	}
	return temporary(func(dir string) error {
		var broken []error
		tar := filepath.Join(dir, "contract.tar")
		for _, file := range files {
			folder := path.Dir(file)
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(file))); errors.Is(err, os.ErrNotExist) {
				broken = append(broken, fmt.Errorf("%s: the contract that %s has there is gone", folder, against.Version))
				continue
			} else if err != nil {
				return err
			}
			if err := archive(ctx, root, full, folder, tar); err != nil {
				return err
			}
			breaks, err := compare(ctx, root, buf, folder, tar)
			if err != nil {
				return err
			}
			if breaks != "" {
				broken = append(broken, fmt.Errorf("%s breaks callers of %s:\n%s", folder, against.Version, breaks))
				continue
			}
			fmt.Fprintf(out, "%s breaks nobody who has %s\n", folder, against.Version)
		}
		return errors.Join(broken...)
	})
}

// found is buf's exit status when it has something to say of the contracts; others are that it failed itself.
const found = 100

// compare runs buf on a folder of the working tree and the same of an archive, and returns what it finds.
func compare(ctx context.Context, root, buf, folder, tar string) (breaks string, err error) {
	before := tar + "#format=tar"
	if folder != "." {
		before += ",subdir=" + folder
	}
	cmd := exec.CommandContext(ctx, buf, "breaking", folder, "--against", before)
	cmd.Dir = root
	said, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return "", ctx.Err()
	}
	if exit, ended := errors.AsType[*exec.ExitError](err); ended && exit.ExitCode() == found {
		return strings.TrimSpace(string(said)), nil
	}
	return "", fmt.Errorf("%s breaking %s: %w\n%s", buf, folder, err, said)
}
