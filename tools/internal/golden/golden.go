// Package golden compares generated text with the file that is checked in.
package golden

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// diffLimit bounds the lines a diff shows; what is left out is counted.
const diffLimit = 80

// A StaleError says that a checked-in file is not what is generated today.
type StaleError struct {
	Path string // the file
	Diff string // its lines marked "-", the generated ones "+", with the line number where each run begins
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s is out of date:\n%s", e.Path, e.Diff)
}

// Sync makes the file at path hold want. With write it does so, making folders as needed; without,
// it touches nothing and returns a [*StaleError] when the file is missing or differs.
func Sync(path string, want []byte, write bool) error {
	have, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read checked-in file: %w", err)
	}
	if err == nil && bytes.Equal(have, want) {
		return nil
	}
	if !write {
		return &StaleError{Path: path, Diff: Diff(string(have), string(want))}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make folder of generated file: %w", err)
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		return fmt.Errorf("write generated file: %w", err)
	}
	return nil
}

// Diff lists the lines that turn have into want, a longest common subsequence apart: runs of "-"
// and "+" lines, each run headed by its line number in have. It shows at most 80 lines.
func Diff(have, want string) string {
	a, b := splitLines(have), splitLines(want)
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	lines := edits(a[start:endA], b[start:endB], start+1)
	if hidden := len(lines) - diffLimit; hidden > 0 {
		lines = append(lines[:diffLimit], fmt.Sprintf("… and %d more lines", hidden))
	}
	return strings.Join(lines, "\n")
}

// edits compares by dynamic programming: common[i][j] is the length of the longest common
// subsequence of a[i:] and b[j:]. The files here have hundreds of lines, so the square is small.
func edits(a, b []string, firstLine int) []string {
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var out []string
	i, j, inRun := 0, 0, false
	for i < len(a) || j < len(b) {
		if i < len(a) && j < len(b) && a[i] == b[j] {
			i, j, inRun = i+1, j+1, false
			continue
		}
		if !inRun {
			out, inRun = append(out, fmt.Sprintf("@ line %d", firstLine+i)), true
		}
		if j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1] {
			out = append(out, "-"+a[i])
			i++
		} else {
			out = append(out, "+"+b[j])
			j++
		}
	}
	return out
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
