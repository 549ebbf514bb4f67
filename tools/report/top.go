package report

// A top keeps the values of the keys that come most often, in bounded memory, by the algorithm Space-Saving
// (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in Data Streams, 2005):
// a new key takes the place of the one that came least, and inherits its count as what may have been missed
// of it. Of n calls of hit, every key that came more than n/limit times is kept.
type top[T any] struct {
	limit  int
	byKey  map[string]*counter[T]
	heap   []*counter[T]            // the counter that came least by what it knew when it was last placed is in front
	reset  func(value *T)           // makes a value empty again
	evict  func(key string, out *T) // is told of a key that must go, before its value is reset
	latest *counter[T]
	gone   uint64 // keys that had to go
}

// A counter is a key with its value.
type counter[T any] struct {
	key    string
	count  uint64 // what the algorithm counts: calls, and missed
	placed uint64 // count when its place in the heap was found
	missed uint64 // calls that may have come while the key was not kept, at most
	value  T
}

func newTop[T any](limit int, reset func(*T), evict func(string, *T)) *top[T] {
	return &top[T]{limit: limit, byKey: map[string]*counter[T]{}, reset: reset, evict: evict}
}

// hit counts key and returns its value.
func (t *top[T]) hit(key []byte) *T {
	if c := t.latest; c != nil && c.key == string(key) {
		c.count++
		return &c.value
	}
	c, ok := t.byKey[string(key)]
	if !ok {
		c = t.admit(string(key))
	}
	t.latest = c
	c.count++
	return &c.value
}

func (t *top[T]) admit(key string) *counter[T] {
	if len(t.heap) < t.limit {
		c := &counter[T]{key: key}
		t.byKey[key] = c
		t.heap = append(t.heap, c)
		t.up(len(t.heap) - 1)
		return c
	}
	// Counts only grow, so a counter's place is looked for when it is in front and not at each hit.
	c := t.heap[0]
	for c.placed != c.count {
		c.placed = c.count
		t.down()
		c = t.heap[0]
	}
	t.evict(c.key, &c.value)
	t.reset(&c.value)
	delete(t.byKey, c.key)
	t.gone++
	c.key, c.missed = key, c.count
	t.byKey[key] = c
	return c
}

func (t *top[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if t.heap[parent].placed <= t.heap[i].placed {
			return
		}
		t.heap[parent], t.heap[i] = t.heap[i], t.heap[parent]
		i = parent
	}
}

func (t *top[T]) down() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(t.heap); child++ {
			if t.heap[child].placed < t.heap[least].placed {
				least = child
			}
		}
		if least == i {
			return
		}
		t.heap[i], t.heap[least] = t.heap[least], t.heap[i]
		i = least
	}
}
