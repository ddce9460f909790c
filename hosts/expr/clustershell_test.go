package expr_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"testing"

	"shoal/hosts/expr"
	"shoal/internal/needs"
)

// python is Debian's: ClusterShell is installed for that one.
const python = "/usr/bin/python3"

// An answer is what ClusterShell makes of an expression.
type answer struct {
	Refused string   `json:"refused"`
	Names   []string `json:"names"`
	Folded  string   `json:"folded"`
	Same    *bool    `json:"same"` // as the set of our folded form
}

// An opinion is what we make of it.
type opinion struct {
	expr   string
	set    expr.Set
	folded *string // nil where err is not
	err    *expr.SyntaxError
}

// askClusterShell returns its answers, all from one process.
func askClusterShell(t *testing.T, opinions []opinion) []answer {
	t.Helper()
	var in bytes.Buffer
	encoder := json.NewEncoder(&in)
	encode := func(v any) {
		if err := encoder.Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	var sources []any
	for _, name := range []string{"", "rack"} {
		groups := maps.Clone(peerGroups[name])
		if name == "" {
			name = "default"
		}
		sources = append(sources, []any{name, groups})
	}
	encode(sources)
	for _, o := range opinions {
		encode([]any{o.expr, o.folded})
	}
	needs.Program(t, "/usr/lib/python3/dist-packages/ClusterShell")
	cmd := exec.CommandContext(t.Context(), needs.Program(t, python), "testdata/clustershell.py")
	cmd.Stdin = &in
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("asking ClusterShell: %v\n%s", err, complaints.Bytes())
	}
	var answers []answer
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, a)
	}
	if err := lines.Err(); err != nil || len(answers) != len(opinions) {
		t.Fatalf("%d answers to %d expressions, %v", len(answers), len(opinions), err)
	}
	return answers
}

// peerGroups are the groups of both sides, by source; "*" is all hosts.
var peerGroups = mapGroups{
	"": {
		"web":   "web[1-9],web[010-012]",
		"db":    "db[1-4]-[1-2],@spare",
		"spare": "n5,n[7-9]!n8",
		"odd":   "@web&web[1-9/2]",
		"r1":    "r1n[1-4]",
		"r2":    "r2n[1-4]",
		"none":  "",
		"*":     "web[1-9],web[010-012],db[1-4]-[1-2],r[1-2]n[1-4],n[1-20],other",
	},
	"rack": {
		"a":  "r1n[1-4],n1",
		"b":  "@a^n[1-2]",
		"r1": "n[11-14]",
		"*":  "r1n[1-4],n[1-14]",
	},
}

// A difference is one that is meant.
type difference struct {
	reason string
	in     *regexp.Regexp // what it shows in
}

// weAccept are expressions that ClusterShell refuses.
var weAccept = []difference{
	{"brackets may touch, as in pdsh", regexp.MustCompile(`\]\[`)},
	{"digits after a range with a step are plain text", regexp.MustCompile(`/[^\]]*\][0-9]`)},
	{"digits before a bracket are plain text: n0[9-10] is n09 n010", regexp.MustCompile(`[0-9]\[`)},
	{"digits after a bracket are plain text, whatever the padding", regexp.MustCompile(`\][0-9]`)},
}

// weRefuse are our reasons to refuse what ClusterShell accepts.
var weRefuse = []difference{
	{"a blank inside a name is a forgotten comma", regexp.MustCompile(`^blank inside a name$`)},
	{"no host has a negative number, and n-[1-3] can be written", regexp.MustCompile(`^number missing in a range$`)},
	{"ClusterShell reads the last two numbers of 3-1-2, and Python's +1 and 1_0", regexp.MustCompile(`is not a number$`)},
	{"a bracket in a bracket is one that was not closed; ClusterShell reads on", regexp.MustCompile(`^bracket inside a bracket$`)},
	{"numbers in brackets have at most 16 digits", regexp.MustCompile(`is too long for a number$`)},
	{"3/1 means 3: somebody meant something else", regexp.MustCompile(`^step without a range$`)},
	{"0-00 has two widths", regexp.MustCompile(`^padding of 0+ and 0+ differs$`)},
	{"where hosts are wanted, a blank is a variable that was not set", regexp.MustCompile(`^empty expression$`)},
	{"a group that is not there is no empty one", regexp.MustCompile(`there is no such group$`)},
	{"so is a group without a name", regexp.MustCompile(`^no name of a group`)},
	{"and one with a wildcard, which ClusterShell takes for a letter", regexp.MustCompile(`^wildcard in the name of a group$`)},
}

// otherNames are expressions that mean something else to ClusterShell.
var otherNames = []difference{
	{"n1[9-11] is n19 n110 n111; ClusterShell puts the 1 before both ends, n[19-111]", regexp.MustCompile(`[0-9]\[[^\]]*-`)},
}

func meant(list []difference, text string) bool {
	return slices.ContainsFunc(list, func(d difference) bool { return d.in.MatchString(text) })
}

func TestAgreesWithClusterShell(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 1))
	exprs := slices.Clone(peerExamples)
	for range 3000 {
		exprs = append(exprs, randomExpr(random))
	}
	for range 1500 {
		exprs = append(exprs, mutated(random, randomExpr(random)))
	}
	resolver := expr.NewResolver(peerGroups)
	opinions := make([]opinion, len(exprs))
	for i, text := range exprs {
		o := opinion{expr: text}
		if e, err := resolver.Parse(text); !errors.As(err, &o.err) {
			o.set = e.Set()
			folded := o.set.Fold()
			o.folded = &folded
		}
		opinions[i] = o
	}
	both, refused, longer := 0, 0, 0
	for i, a := range askClusterShell(t, opinions) {
		o := opinions[i]
		switch {
		case o.err != nil && a.Refused != "":
			refused++
		case o.err != nil:
			if !meant(weRefuse, o.err.Reason) {
				t.Errorf("%q: we say %v, ClusterShell %.300q", o.expr, o.err, a.Folded)
			}
		case a.Refused != "":
			if !meant(weAccept, o.expr) {
				t.Errorf("%q: we say %.300q, ClusterShell %s", o.expr, *o.folded, a.Refused)
			}
		case !o.set.Equal(expr.SetOf(a.Names)):
			if !meant(otherNames, o.expr) {
				t.Errorf("%q: we say %.300q, ClusterShell %.300q", o.expr, *o.folded, a.Folded)
			}
		default:
			both++
			longer += checkFolded(t, o, a)
		}
	}
	if both < 3000 || refused < 500 {
		t.Errorf("%d accepted and %d refused by both: too few to tell anything", both, refused)
	}
	if longer > both/1000 {
		t.Errorf("%d of %d are folded longer than by ClusterShell", longer, both)
	}
}

// checkFolded compares what both fold the same set to, and counts where ours is
// longer.
func checkFolded(t *testing.T, o opinion, a answer) int {
	t.Helper()
	if *o.folded != "" && !*a.Same {
		t.Errorf("%q: our %.300q is another set to ClusterShell than %.300q", o.expr, *o.folded, a.Folded)
	}
	if a.Folded == "" {
		return 0
	}
	back, err := expr.Parse(a.Folded)
	if err != nil || !back.Set().Equal(o.set) {
		t.Errorf("%q: ClusterShell's %.300q is another set to us than %.300q: %v", o.expr, a.Folded, *o.folded, err)
	}
	if len(*o.folded) > len(a.Folded) {
		t.Logf("longer: %q: %q, ClusterShell %q", o.expr, *o.folded, a.Folded)
		return 1
	}
	return 0
}

// peerExamples are what random ones rarely hit.
var peerExamples = []string{
	"", " ", "a", "a,", ",a", "a!", "!a", "a&", "a^^b", "a,!b", " a , b ", "a b", "@", "@*", "@rack:*", "@@", "@@rack",
	"@default:web", "@none", "@none&a", "a!@none", "@web&@odd", "@r[1-2]", "@rack:b", "@rack:r[1]", "@nope", "@rack:web",
	"*", "*!*", "web*", "web?", "web??", "*[1-3]", "r[1-2]n?", "*-[1-2]", "?", "nothing*", "@w*", "*,@*", "**", "*1*",
	"n[1", "n1]", "n[[1]]", "n[1]]", "n[]", "n[1,]", "n[,1]", "n[1-]", "n[-1]", "n[1--3]", "n[3-1]", "n[1-3/0]", "n[1/1]",
	"n[1/2]", "n[01-100]", "n[1-010]", "n[0-00]", "n[00-0]", "n[000-010/5]", "n[1_0]", "n[+1]", "n[ 1 - 3 / 2 ]", "n[1 2]",
	"n[1-2][3-4]", "n1[2-3]", "n0[1-2]", "n1[9-11]", "n0[9-11]", "n[9-11]5", "n[1-9/2]5", "n[1-2]r[3-4]", "[1-3]", "[1-3]a",
	"1", "01,1", "a%b", "%s", "a%%", "n[1-2]%d[3]", "a[1-2]b[1-2]c[1-2]!a1b1c1", "n[1-5]!n3!n4&n[1-2]^n9", "a!a", "a^a^a",
	"10.0.[0-1].[1-3]", "user@n[1-2]", "n[1-2]:22", "n-[1-3]", "n[1-3]-ib0,n[2-4]-ib0", "a[1-2]-[01-02]x3",
	"n[27-290, a&n[1-215-26]x", "n[12345678901234567]", "n12345678901234567",
}
