package meeting // want package:"base 1001, base 2001, base 2001, both 1001, both 1001" `two packages that this one imports make the failure set both, at left/left.go:9 and at right/right.go:9` `two packages that this one imports declare the failure code base 2001, at left/left.go:12 as errLeft and at right/right.go:12 as errRight: give one of them a number that was never used` `declare the failure code both 1001, at left/left.go:13 as errBoth and at right/right.go:13 as errBoth`

import (
	"left"
	"right"
)

func Use() []error { return append(left.Use(), right.Use()...) }
