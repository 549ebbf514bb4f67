package reload

import (
	"fmt"
	"regexp"
)

var lockPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// ValidLock says what is wrong with the name of a lock.
func ValidLock(name string) error {
	if !lockPattern.MatchString(name) {
		return fmt.Errorf("name of a lock %q: want 1 to 32 letters, digits, hyphens and underscores", name)
	}
	return nil
}
