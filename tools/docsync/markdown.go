package docsync

import (
	"fmt"
	"regexp"
	"strings"
)

// mark is the comment above a fenced block that names the example the block shows.
var mark = regexp.MustCompile(`^<!-- example: (\S+) -->$`)

// Rewrite returns a Markdown text whose marked blocks hold what excerpt returns for the example each
// names (path, and the name after "#" or ""). Errors say which line of the text is wrong: a block of
// Go without a mark, a mark without a block, a block that is never closed, and what excerpt returns.
// With an error for a block, that block stays as it is.
func Rewrite(text string, excerpt func(path, name string) (string, error)) (string, []error) {
	var out []string
	var errs []error
	lines := strings.Split(text, "\n")
	marked, markLine := "", 0 // the example named by the last line that was not blank, and where
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		fence, info := openingFence(line)
		if fence == "" {
			if marked != "" && strings.TrimSpace(line) != "" {
				errs = append(errs, fmt.Errorf("line %d: example %s is not followed by a fenced block", markLine, marked))
				marked = ""
			}
			if m := mark.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
				marked, markLine = m[1], i+1
			}
			out = append(out, line)
			continue
		}
		end := i + 1
		for end < len(lines) && !closes(lines[end], fence) {
			end++
		}
		if end == len(lines) {
			return text, append(errs, fmt.Errorf("line %d: block is never closed", i+1))
		}
		body := lines[i+1 : end]
		switch {
		case marked != "":
			path, name, _ := strings.Cut(marked, "#")
			if want, err := excerpt(path, name); err != nil {
				errs = append(errs, fmt.Errorf("line %d: example %s: %w", markLine, marked, err))
			} else {
				body = strings.Split(strings.TrimSuffix(want, "\n"), "\n")
			}
		case info == "go":
			errs = append(errs, fmt.Errorf("line %d: Go block without a line <!-- example: FILE.go#NAME --> above it: show compiled code", i+1))
		}
		out = append(out, line)
		out = append(out, body...)
		out = append(out, lines[end])
		i, marked = end, ""
	}
	if marked != "" {
		errs = append(errs, fmt.Errorf("line %d: example %s is not followed by a fenced block", markLine, marked))
	}
	return strings.Join(out, "\n"), errs
}

// openingFence returns the characters that open a fenced block and the first word after them, or "".
func openingFence(line string) (fence, info string) {
	text := strings.TrimLeft(line, " ")
	if len(line)-len(text) > 3 {
		return "", ""
	}
	rest := strings.TrimLeft(text, text[:min(1, len(text))])
	fence = text[:len(text)-len(rest)]
	if len(fence) < 3 || fence[0] != '`' && fence[0] != '~' {
		return "", ""
	}
	if fence[0] == '`' && strings.Contains(rest, "`") { // code within a line
		return "", ""
	}
	if words := strings.Fields(rest); len(words) > 0 {
		info = words[0]
	}
	return fence, info
}

// closes tells whether a line ends the block that fence opened: at least as many of its characters.
func closes(line, fence string) bool {
	text := strings.TrimSpace(line)
	return len(text) >= len(fence) && strings.Trim(text, fence[:1]) == ""
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	inlineLink = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	reference  = regexp.MustCompile(`^\s{0,3}\[[^\]]+\]:\s*(\S+)`)
	htmlLink   = regexp.MustCompile(`(?:src|href)="([^"]+)"`)
	scheme     = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
	heading    = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N}\-_ ]`)
)

// A Link is a reference of a Markdown text to a file or a heading in the same repository.
type Link struct {
	Line   int    // where it stands, from 1
	Path   string // slash-separated, relative to the text's folder; "" for the text itself
	Anchor string // the heading's anchor; "" for none
}

// Links returns the links of a Markdown text that do not lead to another site: inline ones, images,
// reference definitions and HTML's src and href. Code is not searched.
func Links(text string) []Link {
	var links []Link
	prose(text, func(n int, line string) {
		line = inlineCode.ReplaceAllString(line, "")
		var targets []string
		for _, pattern := range []*regexp.Regexp{inlineLink, reference, htmlLink} {
			for _, m := range pattern.FindAllStringSubmatch(line, -1) {
				targets = append(targets, m[1])
			}
		}
		for _, target := range targets {
			if scheme.MatchString(target) || strings.HasPrefix(target, "//") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			links = append(links, Link{n, path, anchor})
		}
	})
	return links
}

// Anchors returns the anchors of a Markdown text's headings, made as code hosting sites make them:
// in lower case, punctuation dropped, spaces as hyphens; the second of a kind gets "-1", and so on.
func Anchors(text string) map[string]bool {
	anchors := map[string]bool{}
	seen := map[string]int{}
	prose(text, func(_ int, line string) {
		m := heading.FindStringSubmatch(line)
		if m == nil {
			return
		}
		title := inlineLink.ReplaceAllString(strings.ReplaceAll(m[1], "`", ""), "]")
		slug := strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
		anchor := slug
		if n := seen[slug]; n > 0 {
			anchor = fmt.Sprintf("%s-%d", slug, n)
		}
		seen[slug]++
		anchors[anchor] = true
	})
	return anchors
}

// prose calls f with the number and text of each line that is not in a fenced block.
func prose(text string, f func(n int, line string)) {
	fence := ""
	for i, line := range strings.Split(text, "\n") {
		switch opened, _ := openingFence(line); {
		case fence != "":
			if closes(line, fence) {
				fence = ""
			}
		case opened != "":
			fence = opened
		default:
			f(i+1, line)
		}
	}
}
