package hostset

import "iter"

// Len is the number of names, duplicates counted.
func (e Expr) Len() int { return e.names }

// Names yields the names in the order of the expression, the last range of a
// product turning fastest.
func (e Expr) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, pat := range e.patterns {
			if !pat.each(yield) {
				return
			}
		}
	}
}

// Expand gives the names that an expression stands for, in its order and with
// its duplicates. It allocates nothing for an expression that Parse refuses.
// Every error is a *[SyntaxError].
func Expand(expr string) ([]string, error) {
	e, err := Parse(expr)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, e.Len())
	for name := range e.Names() {
		names = append(names, name)
	}
	return names, nil
}

// each yields the names of the pattern.
func (pat pattern) each(yield func(string) bool) bool {
	if len(pat.parts) == 1 && pat.parts[0].spans == nil {
		return yield(pat.parts[0].literal)
	}
	return product(make([]byte, 0, MaxNameLen), pat.parts, yield)
}

// product appends every choice of the parts to prefix, which has room for them.
func product(prefix []byte, parts []part, yield func(string) bool) bool {
	if len(parts) == 0 {
		return yield(string(prefix))
	}
	head, rest := parts[0], parts[1:]
	if head.spans == nil {
		return product(append(prefix, head.literal...), rest, yield)
	}
	for _, s := range head.spans {
		for v := s.first; v <= s.last; v += s.step {
			if !product(appendNumber(prefix, v, s.width), rest, yield) {
				return false
			}
		}
	}
	return true
}
