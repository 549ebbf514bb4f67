package roster

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

const (
	docBegin = "<!-- failures: "
	docEnd   = "<!-- end of failures -->"
)

// Document is a page of Markdown with its tables of codes as they are today. A table stands between two
// lines, of which the first names a set:
//
//	<!-- failures: game -->
//	<!-- end of failures -->
//
// The error names the line of each pair that is not one, and of each set that is not there; a page
// without any is an error as well.
func (r *Roster) Document(page []byte) ([]byte, error) {
	var out bytes.Buffer
	var errs []error
	open, tables, n := 0, 0, 0
	for line := range bytes.Lines(page) {
		n++
		text := strings.TrimSpace(string(line))
		set, begins := strings.CutPrefix(text, docBegin)
		switch {
		case begins && open != 0:
			errs = append(errs, fmt.Errorf("line %d: a table of failures begins in the one that line %d began: end that with %s", n, open, docEnd))
		case begins:
			set, closed := strings.CutSuffix(set, " -->")
			list, err := r.List(set)
			if !closed {
				err = fmt.Errorf("want %sSET -->, got %q", docBegin, text)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			}
			open, tables = n, tables+1
			out.Write(line)
			writeMarkdown(&out, list)
		case text == docEnd && open == 0:
			errs = append(errs, fmt.Errorf("line %d: a table of failures ends that did not begin: begin it with %sSET -->", n, docBegin))
		case text == docEnd:
			open = 0
			out.Write(line)
		case open == 0:
			out.Write(line)
		}
	}
	if open != 0 {
		errs = append(errs, fmt.Errorf("line %d: the table of failures does not end: write %s behind it", open, docEnd))
	}
	if tables == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("there is no table of failures: begin one with %sSET --> and end it with %s", docBegin, docEnd))
	}
	return out.Bytes(), errors.Join(errs...)
}

var cell = strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`", "[", `\[`)

// writeMarkdown writes a table of one set.
func writeMarkdown(w *bytes.Buffer, list []Line) {
	w.WriteString("| number | message | class | HTTP | gRPC | retry | alert |\n|---|---|---|---|---|---|---|\n")
	for _, l := range list {
		if l.Retired {
			fmt.Fprintf(w, "| %d | %s | retired | | | | |\n", l.Number, cell.Replace(l.Message))
			continue
		}
		alert := l.Severity.String()
		if l.Runbook != "" {
			alert = fmt.Sprintf("[%s](%s)", alert, l.Runbook)
		}
		fmt.Fprintf(w, "| %d | %s | %s | %d | `%v` | %s | %s |\n", l.Number, cell.Replace(l.Message), cell.Replace(l.Class.String()),
			l.HTTPStatus, l.GRPCCode, retry(l.Code), alert)
	}
}
