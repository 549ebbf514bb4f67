package acl

import (
	"path"
	"strings"
)

// A node is one segment of the routes that have rules, a tree.
type node struct {
	list  *list // of the route that ends here, nil if none does
	below map[string]*node
}

// add puts l, whose route is in its shortest form, below n. Shorter routes must have been added
// before, so that l finds the list to ask next.
func (n *node) add(l *list) {
	l.next = n.list
	for segment := range strings.SplitSeq(strings.TrimPrefix(l.route, "/"), "/") {
		child := n.below[segment]
		if child == nil {
			child = &node{}
			if n.below == nil {
				n.below = make(map[string]*node)
			}
			n.below[segment] = child
		}
		n = child
		if n.list != nil {
			l.next = n.list
		}
	}
	n.list = l
}

// find is the list of the longest route that name is at or below, nil if there is none. It looks at
// no more segments than the longest route has: a path may have thousands.
func (n *node) find(name string) *list {
	found := n.list
	for len(n.below) > 0 && strings.HasPrefix(name, "/") {
		var segment string
		segment, name = name[1:], ""
		if i := strings.IndexByte(segment, '/'); i >= 0 {
			segment, name = segment[:i], segment[i:]
		}
		if n = n.below[segment]; n == nil {
			break
		}
		if n.list != nil {
			found = n.list
		}
	}
	return found
}

// shortest is name without empty, "." and ".." segments, and without a slash at its end if it has such.
// It allocates only then.
func shortest(name string) string {
	for i := range len(name) - 1 {
		if name[i] == '/' && (name[i+1] == '/' || name[i+1] == '.') {
			return path.Clean(name)
		}
	}
	return name
}
