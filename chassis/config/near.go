package config

import "strings"

// distance is the number of single-character insertions, deletions, replacements and swaps of
// neighbours that turn one string into another (optimal string alignment). Strings longer than a key
// ever is are compared by their beginnings.
func distance(a, b string) int {
	const most = 64
	x, y := []rune(a[:min(len(a), most)]), []rune(b[:min(len(b), most)])
	before, last, row := make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row[0] = i + 1
		for j := range y {
			replace := last[j]
			if x[i] != y[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(y)]
}

// near is the largest distance at which a name is taken for a slip of the pen. One letter is near
// nothing: a single replacement makes it any other.
func near(name string) int {
	if len(name) < 2 {
		return 0
	}
	return max(1, min(3, len(name)/3))
}

// nearestKey finds what an unknown key was probably meant to be: a name like it in the same section,
// the same name in another section, or a key like it as a whole. It is "" if there is none.
func nearestKey(key string, candidates []string) string {
	parent, name := split(key)
	best, bestDistance := "", 0
	for _, c := range candidates {
		p, n := split(c)
		d, limit := distance(key, c), near(key)
		switch {
		case p == parent:
			d, limit = distance(name, n), near(name)
		case n == name:
			d, limit = min(d, near(name)+1), near(name)+1
		}
		if d <= limit && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

func split(key string) (parent, name string) {
	i := strings.LastIndexByte(key, '.')
	if i < 0 {
		return "", key
	}
	return key[:i], key[i+1:]
}
