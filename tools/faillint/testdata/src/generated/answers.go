package generated // want package:"generated 1001, generated 1002"

func One() error { return errOne }

func Other() error { return errOne } // want `failure code errOne \(generated 1001\) is answered here and at answers.go:3: .* both call$`
