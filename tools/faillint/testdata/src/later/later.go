package later // want package:"base 1001, base 2001, base 2001, both 1001, both 1001"

import (
	"left"
	"meeting"
)

// What meeting was told is not told again.
func Use() []error { return append(left.Use(), meeting.Use()...) }
