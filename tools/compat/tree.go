package compat

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// git runs git in root and returns what it prints.
func git(ctx context.Context, root string, args ...string) (string, error) {
	out, err := workspace.Output(ctx, root, nil, "git", args...)
	return strings.TrimSpace(string(out)), err
}

// resolve returns the full name of the commit that r was made from. A clone without it is told what to do.
func resolve(ctx context.Context, root string, r Release) (string, error) {
	full, err := git(ctx, root, "rev-parse", "--verify", "--quiet", r.Commit+"^{commit}")
	if err == nil {
		return full, nil
	}
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	shallow, shallowErr := git(ctx, root, "rev-parse", "--is-shallow-repository")
	switch {
	case shallowErr != nil:
		return "", shallowErr
	case shallow == "true":
		return "", fmt.Errorf("commit %s of %s is not in this clone, which is shallow: fetch the history with \"git fetch --unshallow\", or have CI clone all of it", r.Commit, r.Version)
	}
	return "", fmt.Errorf("commit %s of %s is not in this clone: \"git fetch --tags\" may bring it; else %s names a wrong one", r.Commit, r.Version, File)
}

// checkout makes a git worktree of r in dir, which must not exist. The worktree ends with remove, whatever
// has become of ctx.
func checkout(ctx context.Context, root string, r Release, dir string) (remove func() error, err error) {
	full, err := resolve(ctx, root, r)
	if err != nil {
		return nil, err
	}
	if _, err := git(ctx, root, "worktree", "add", "--quiet", "--detach", dir, full); err != nil {
		// git that is killed does not tidy up. What it has begun is locked, which takes a second --force, and git
		// refuses a folder that is half a worktree, but not one that is gone. Where it began nothing this fails.
		_ = os.RemoveAll(dir)
		_, _ = git(context.WithoutCancel(ctx), root, "worktree", "remove", "--force", "--force", dir)
		return nil, fmt.Errorf("check out %s: %w", r.Version, err)
	}
	return func() error {
		_, err := git(context.WithoutCancel(ctx), root, "worktree", "remove", "--force", dir)
		return err
	}, nil
}

// archive writes what path of r holds to a file in tar's format.
func archive(ctx context.Context, root, full, path, file string) error {
	_, err := git(ctx, root, "archive", "--format=tar", "--output="+file, full, "--", path)
	return err
}

// temporary calls f with a new folder that is gone afterwards.
func temporary(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "compat-*")
	if err != nil {
		return err
	}
	// git names worktrees by what a symbolic link leads to.
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return errors.Join(f(dir), os.RemoveAll(dir))
}
