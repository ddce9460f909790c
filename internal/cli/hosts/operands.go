package hosts

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"shoal/hosts/expr"
)

// An operation is the flag before an operand; "" means union.
type operation string

const (
	unite     operation = ""
	exclude   operation = "exclude"
	intersect operation = "intersection"
	xor       operation = "xor"
)

func (op operation) apply(left, right expr.Set) expr.Set {
	switch op {
	case exclude:
		return left.Minus(right)
	case intersect:
		return left.Intersect(right)
	case xor:
		return left.Xor(right)
	}
	return left.Union(right)
}

// An operand is an expression, or "-" for standard input.
type operand struct {
	op   operation
	text string
}

// operands are the expressions of a command line, in order.
type operands []operand

// An operandFlag is a flag that takes an operand.
type operandFlag struct {
	to *operands
	op operation
	// inventories, if not nil, takes a path that no hosts stand before.
	inventories *[]string
}

// String and Type implement pflag.Value.
func (f operandFlag) String() string { return "" }
func (f operandFlag) Type() string   { return "expression" }

// Set implements pflag.Value.
func (f operandFlag) Set(text string) error {
	if f.inventories != nil && len(*f.to) == 0 && isPath(text) {
		*f.inventories = append(*f.inventories, text)
		return nil
	}
	*f.to = append(*f.to, operand{f.op, text})
	return nil
}

// isPath reports whether a text has a slash outside of the ranges of a host expression, or
// names what exists.
func isPath(text string) bool {
	if _, err := os.Stat(text); err == nil {
		return true
	}
	slash, bracket := strings.IndexByte(text, '/'), strings.IndexByte(text, '[')
	return slash >= 0 && (bracket < 0 || slash < bracket)
}

// read parses the rest of the command line from the first operand on. Flags of
// all kinds may stand between operands; after "--" there are only operands.
func (o *operands) read(cmd *cobra.Command, args []string) (help bool, err error) {
	flags := cmd.Flags()
	for len(args) > 0 {
		*o = append(*o, operand{text: args[0]})
		if args = args[1:]; len(args) == 0 || flags.ArgsLenAtDash() >= 0 {
			continue
		}
		if err := flags.Parse(args); err != nil {
			return false, cmd.FlagErrorFunc()(cmd, err)
		}
		args = flags.Args()
	}
	return flags.GetBool("help")
}
