package twice

func More() error { return errAgain } // want `failure code errAgain \(twice 1004\) is answered here and at twice.go:37`
