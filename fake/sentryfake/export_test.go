package sentryfake

// WhileClosing runs do in the moment in which Close has begun and connections are still open.
func (f *Fake) WhileClosing(do func()) {
	set := func(closing bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.closing = closing
	}
	set(true)
	defer set(false)
	do()
}
