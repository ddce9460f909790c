package hosts

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"shoal/hosts/expr"
	"shoal/internal/hint"
)

// A calculator evaluates the operands of shoal hosts.
type calculator struct {
	flags    *hostsFlags
	resolver *expr.Resolver
	stdin    io.Reader
	read     bool // standard input was read
	names    int  // number of names in all operands
}

func newCalculator(f *hostsFlags, stdin io.Reader) *calculator {
	r := expr.NewResolver(f.groups)
	r.Source = f.source
	return &calculator{flags: f, resolver: r, stdin: stdin}
}

// asked reports whether the command line names hosts.
func (c *calculator) asked() bool { return c.flags.all || len(c.flags.operands) > 0 }

// calculate evaluates the operands. Without operands the hosts come from
// standard input, except when groups are listed.
func (c *calculator) calculate() (expr.Set, error) {
	list := c.flags.operands
	alone := true
	for _, o := range list {
		alone = alone && o.op != unite
	}
	if alone && !c.flags.all && c.flags.list == 0 {
		list = append(operands{{text: "-"}}, list...)
	}
	left, err := c.first(list)
	if err != nil {
		return expr.Set{}, err
	}
	for len(list) > 0 {
		n := 1
		for list[0].op == unite && n < len(list) && list[n].op == unite {
			n++
		}
		right, err := c.united(list[:n])
		if err != nil {
			return expr.Set{}, err
		}
		left = list[0].op.apply(left, right)
		list = list[n:]
	}
	return left, nil
}

// first returns the set that the operations are applied to.
func (c *calculator) first(list operands) (expr.Set, error) {
	if c.flags.all {
		e, err := c.resolver.All(c.flags.source)
		if err != nil {
			return expr.Set{}, fmt.Errorf("reading all hosts: %w", c.explained(err))
		}
		return e.Set(), nil
	}
	if len(list) > 0 && list[0].op != unite {
		return expr.Set{}, hint.Wrap(fmt.Errorf("no hosts stand before --%s %.80q", list[0].op, list[0].text),
			fmt.Sprintf("write them in front: shoal hosts 'web[1-9]' --%s web3", list[0].op))
	}
	return expr.Set{}, nil
}

// united returns the union of the operands.
func (c *calculator) united(list operands) (expr.Set, error) {
	var b expr.Builder
	for _, o := range list {
		split, text := strings.Lines, o.text
		if o.text == "-" {
			var err error
			if text, err = c.input(); err != nil {
				return expr.Set{}, err
			}
			split = words
		}
		for text := range split(text) {
			if err := c.add(&b, strings.TrimSpace(text)); err != nil {
				return expr.Set{}, err
			}
		}
	}
	return b.Set(), nil
}

// add adds one expression; a blank one means no hosts.
func (c *calculator) add(b *expr.Builder, text string) error {
	if text == "" {
		return nil
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("control character in %.80q", text)
	}
	if c.flags.rangeset {
		text = "[" + text + "]"
	}
	e, err := c.resolver.Parse(text)
	if err != nil {
		return err
	}
	if c.names += e.Len(); c.names > expr.MaxNames {
		return fmt.Errorf("the expressions stand for more than %d names together", expr.MaxNames)
	}
	b.AddExpr(e)
	return nil
}

// maxInput bounds standard input, in bytes.
const maxInput = 1 << 30

// input reads standard input, only once.
func (c *calculator) input() (string, error) {
	if c.read {
		return "", hint.New("standard input is named twice", "name it once")
	}
	c.read = true
	var text strings.Builder
	n, err := io.Copy(&text, io.LimitReader(c.stdin, maxInput+1))
	if err != nil {
		return "", fmt.Errorf("reading standard input: %w", err)
	}
	if n > maxInput {
		return "", fmt.Errorf("standard input is longer than %d bytes", maxInput)
	}
	return text.String(), nil
}

// words yields the words of text, without comments (# to the end of the line).
func words(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "#")
			for word := range strings.FieldsSeq(line) {
				if !yield(word) {
					return
				}
			}
		}
	}
}

// explained adds a hint to err when no groups are configured.
func (c *calculator) explained(err error) error {
	if errors.Is(err, expr.ErrNoGroups) {
		return hint.Wrap(err, "name the hosts in place of groups")
	}
	return err
}
