package sshreason

import "errors"

// Taken adds to an error of authentication the methods that the server takes; nil means that it
// was not asked.
func Taken(err error, methods []string) error {
	if err == nil || methods == nil {
		return err
	}
	return &taken{err, methods}
}

// TakenBy returns the methods that [Taken] has added to an error in err's chain, or nil.
func TakenBy(err error) []string {
	if t, ok := errors.AsType[*taken](err); ok {
		return t.methods
	}
	return nil
}

type taken struct {
	error
	methods []string
}

func (t *taken) Unwrap() error { return t.error }
