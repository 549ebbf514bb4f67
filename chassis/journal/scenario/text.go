package scenario

import (
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// lineLength is how wide text is, in characters, unless a phrase is longer.
const lineLength = 110

// Text is a scenario in words, in three lines or more: given, when, then. The last line ends with a
// line break.
func (s *Suite[E, C, A]) Text(sc Scenario[E, C, A]) string {
	var b strings.Builder
	paragraph(&b, "given", s.given(&sc))
	paragraph(&b, "when", []string{sc.When.String()})
	paragraph(&b, "then", s.then(&sc.Then))
	return b.String()
}

// paragraph writes phrases behind a word, with lines broken between phrases.
func paragraph(b *strings.Builder, word string, phrases []string) {
	const indent = 7
	fmt.Fprintf(b, "%-*s", indent, word)
	column := indent
	for i, p := range phrases {
		if i < len(phrases)-1 {
			p += ";"
		}
		n := utf8.RuneCountInString(p)
		switch {
		case i == 0:
		case column+1+n > lineLength:
			fmt.Fprintf(b, "\n%*s", indent, "")
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(p)
		column += n
	}
	b.WriteByte('\n')
}

func (s *Suite[E, C, A]) given(sc *Scenario[E, C, A]) []string {
	var phrases []string
	if sc.Setting != "" {
		phrases = append(phrases, sc.Setting)
	}
	for _, h := range sc.Given {
		var about string
		if h.Ago > 0 {
			about = Span(h.Ago) + " ago"
		}
		if h.Subject != "" {
			about = strings.TrimSpace(h.Subject + " " + about)
		}
		told := s.Tell(h.Events)
		if about != "" && len(told) > 0 {
			told[0] = about + ": " + told[0]
		}
		phrases = append(phrases, told...)
	}
	for _, c := range sc.Before {
		phrases = append(phrases, c.String())
	}
	phrases = append(phrases, sc.Fault.phrases()...)
	if len(phrases) == 0 {
		return []string{"nothing"}
	}
	return phrases
}

func (f Fault) phrases() []string {
	var phrases []string
	if f.Appends != nil {
		phrase := fmt.Sprintf("the journal answers appends with %q", f.Appends)
		if f.Stored {
			phrase += " though it stores them"
		}
		phrases = append(phrases, phrase)
	}
	if f.Reads != nil {
		phrases = append(phrases, fmt.Sprintf("the journal answers reads with %q", f.Reads))
	}
	return phrases
}

func (s *Suite[E, C, A]) then(t *Then[E, A]) []string {
	var phrases []string
	if t.Failure != 0 {
		phrases = append(phrases, s.failure(t.Failure))
	}
	if isSet(t.Answer) {
		phrases = append(phrases, "answer: "+t.Answer.String())
	}
	if len(t.Events) == 0 {
		return append(phrases, "no events")
	}
	told := s.Tell(t.Events)
	if len(told) > 0 {
		told[0] = strings.TrimSpace("events "+t.Subject) + ": " + told[0]
	}
	return append(phrases, told...)
}

// failure is a code in words.
func (s *Suite[E, C, A]) failure(number int) string {
	code, declared := s.Failures.Lookup(number)
	if !declared {
		return fmt.Sprintf("failure %d", number)
	}
	return fmt.Sprintf("failure %d %q", number, code.Message())
}

// isSet reports whether an answer is to be compared.
func isSet[A any](a A) bool {
	v := reflect.ValueOf(&a).Elem()
	return !v.IsZero()
}

// Span is a duration as people say it, such as "90s", "2m", "1h30m" or "3d".
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Markdown is all scenarios as a page, a section for each chapter.
func (s *Suite[E, C, A]) Markdown() string {
	var b strings.Builder
	for _, c := range s.Chapters {
		fmt.Fprintf(&b, "\n## %s\n", c.Title)
		for _, sc := range c.Scenarios {
			first, size := utf8.DecodeRuneInString(sc.Name)
			fmt.Fprintf(&b, "\n**%c%s**\n\n", unicode.ToUpper(first), sc.Name[size:])
			for line := range strings.Lines(s.Text(sc)) {
				b.WriteString("    " + line)
			}
		}
	}
	return b.String()
}
