package report

import (
	"errors"
	"io"
	"io/fs"
)

// sampled is how many lines are looked at to find out a format.
const sampled = 100

// An input reads logs into a collector.
type input struct {
	layout    *Layout // nil until it was found out
	reader    *LineReader
	collector *Collector
	files     []File
	opened    int       // of files
	waiting   []waiting // lines read until then
	hit       Hit
}

// waiting is a line that waits for its format to be found out.
type waiting struct {
	file string
	line uint64
	text []byte
}

// file reads one log. The error is that it cannot be opened; that, and what is wrong within it, is in files.
func (in *input) file(name string, stdin io.Reader) error {
	from := stdin
	if name != Stdin {
		f, err := Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			in.files = append(in.files, File{Name: name, Damage: "it was removed before it was read"})
			return err
		}
		if err != nil {
			in.files = append(in.files, File{Name: name, Damage: err.Error()})
			return err
		}
		defer f.Close()
		from, name = f, f.Name()
	}
	in.opened++
	file := File{Name: name}
	bytes, err := Lines(from, func(text []byte, err error) {
		file.Lines++
		in.line(name, file.Lines, text, err)
	})
	file.Bytes = bytes
	if err != nil {
		file.Damage = err.Error()
	}
	in.files = append(in.files, file)
	return nil
}

func (in *input) line(file string, number uint64, text []byte, err error) {
	if in.layout == nil && err == nil {
		in.waiting = append(in.waiting, waiting{file, number, append([]byte(nil), text...)})
		if len(in.waiting) == sampled {
			in.settle()
		}
		return
	}
	if err == nil {
		if in.reader == nil {
			in.reader = NewLineReader(in.layout)
		}
		err = in.reader.Read(text, &in.hit)
	}
	if err != nil {
		in.collector.Bad(file, number, text, err)
		return
	}
	in.collector.Add(in.layout, &in.hit)
}

// settle finds out the format if none was given, and reads the lines that waited.
func (in *input) settle() {
	if in.layout != nil {
		return
	}
	most := -1
	for _, name := range []string{"combined", "common", "vhost_combined"} {
		layout, err := NewLayout(name)
		if err != nil {
			continue
		}
		read, r := 0, NewLineReader(layout)
		for _, w := range in.waiting {
			if r.Read(w.text, &in.hit) == nil {
				read++
			}
		}
		if read > most {
			most, in.layout = read, layout
		}
	}
	waited := in.waiting
	in.waiting = nil
	for _, w := range waited {
		in.line(w.file, w.line, w.text, nil)
	}
}
