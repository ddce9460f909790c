package placeholder_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"shoal/fleet"
	"shoal/internal/needs"
	"shoal/internal/placeholder"
)

func node1() fleet.Target {
	return fleet.Target{Host: fleet.Host{Name: "node1", User: "root", Port: 2222}, Index: 7}
}

func expand(t *testing.T, text string, target fleet.Target) string {
	t.Helper()
	template, err := placeholder.Parse(text, placeholder.Unquoted)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return template.Expand(target)
}

func TestExpand(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"{host}", "node1"},
		{"echo hello world {index}", "echo hello world 7"},
		{"echo {host} {user} {port} {index}", "echo node1 root 2222 7"},
		{"{host}{host}", "node1node1"},
		{"echo {host|sh}.", "echo 'node1'."},
		{"{user|sh}@{host|sh}:{port|sh}#{index|sh}", "'root'@'node1':'2222'#'7'"},
		{"ssh {user}@{host} %{port}", "ssh root@node1 %2222"},
		{"a\n{host}\n", "a\nnode1\n"},
		{"echo 'a' {host} \"b\" {index}", "echo 'a' node1 \"b\" 7"},
		{`echo "\"" {host} \' {host} \\{host}`, `echo "\"" node1 \' node1 \\node1`},
		{"echo ${x:-{host}} {a,b} {", "echo ${x:-node1} {a,b} {"},
		{"awk '{print}' {host}", "awk '{print}' node1"},
		{"docker ps --format '{{.Names}}' -f name={host}", "docker ps --format '{{.Names}}' -f name=node1"},

		// The filter asks for it, also within quotes.
		{"sh -c 'ping '{host|sh}' {host|sh}'", "sh -c 'ping ''node1'' node1'"},
	} {
		if got := expand(t, c.text, node1()); got != c.want {
			t.Errorf("%q gives %q, want %q", c.text, got, c.want)
		}
	}
}

func TestEverywhereAndNever(t *testing.T) {
	const text = `echo "{host}" '{index}' {port} {{user}} ${host} {user|sh}`
	for where, want := range map[placeholder.Where]string{
		placeholder.Unquoted:   `echo "{host}" '{index}' 2222 {{user}} ${host} 'root'`,
		placeholder.Everywhere: `echo "node1" '7' 2222 {{user}} ${host} 'root'`,
		placeholder.Never:      text,
	} {
		template, err := placeholder.Parse(text, where)
		if err != nil {
			t.Fatal(err)
		}
		if got := template.Expand(node1()); got != want {
			t.Errorf("%d gives %q, want %q", where, got, want)
		}
	}
	for _, text := range []string{"{hsot|sh}", "{host|csh}"} {
		if _, err := placeholder.Parse(text, placeholder.Never); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestUntouched has commands that are sent byte for byte, and without a notice.
func TestUntouched(t *testing.T) {
	for _, text := range []string{
		"uptime",
		"  uptime ; date\n\nid\n",
		"awk '{print}' /etc/hostname",
		"awk '{next}' f",
		"awk {print}",
		"awk '{print $1}' /etc/passwd",
		"awk '{ if ($1 > 2) { print $2 } }'",
		"awk 'BEGIN{{}}{}}'",
		"jq '{name}' f",
		"jq '{a:{b}}'",
		"curl -s -o /dev/null -w '%{http_code}' localhost",
		"curl -w %{http_code} localhost",
		"git rev-parse @{u} @{upstream}",
		"find . -exec rm {} +",
		"xargs -I{} echo {}",
		"echo {a,b} {1..3} {a..z} {a..z..2} {a.}",
		"echo ${x} ${host} ${host|sh} ${a:-${b}} ${#x} ${x%%.*}",
		"echo ${{ matrix.os }} ${{x}}",
		"curl -d '{\"k\":1}'",
		"curl -d '{\"k\":{\"l\":[{}]}}'",
		"docker ps --format '{{.Names}}'",
		"docker ps --format '{{json .}}'",
		"docker ps --format '{{range .Ports}}{{.}}{{end}}'",
		"python3 -c 'print(f\"{x.y} {z!r}\")'",
		"{ date; }",
		"echo {Host} {HOST} { host } {host } {host|} {|sh} {host||sh} {1host} {_x} {.x}",
		"echo { } }} {{",
		"f() { :; }",
		"printf '\\x7b{{'",
		"\xff{\xfe}",
		"echo don't {host",
	} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if got := template.Expand(node1()); got != text {
			t.Errorf("%q gives %q", text, got)
		}
		if !template.Fixed() || template.Notices() != nil {
			t.Errorf("%q: fixed %t, notices %q", text, template.Fixed(), template.Notices())
		}
	}
}

// TestKeptWithANotice has commands that are sent as typed although they may mean a
// placeholder.
func TestKeptWithANotice(t *testing.T) {
	const kept = " within quotes, or behind { or \\, stays in the command as typed: --placeholders replaces it within quotes, {host|sh} always does, --no-placeholders stops this notice"
	for text, want := range map[string]string{
		"jq '{host}' {a}":             "{host}" + kept,
		`jq "{host} {index} {host}"`:  "{host}, {index}" + kept,
		"echo '{host|tojson}'":        "{host|tojson}" + kept,
		"echo {{host}} {{port|sh}}":   "{host}, {port|sh}" + kept,
		`echo \\{host} \{user}`:       "{user}" + kept,
		"echo '{attr.x}'":             "{attr.x}" + kept,
		"echo {hsot} {hosts} {ports}": "{hsot} (did you mean {host}?), {hosts} (did you mean {host}?), {ports} (did you mean {port}?) stays in the command as typed: it is no placeholder",
	} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := strings.Join(template.Notices(), "; "); got != want {
			t.Errorf("%q: notices %q, want %q", text, got, want)
		}
		if got := template.Expand(node1()); strings.ReplaceAll(text, "\\\\{host}", "\\\\node1") != got {
			t.Errorf("%q gives %q", text, got)
		}
	}
}

func TestErrors(t *testing.T) {
	const known = "placeholders are {host}, {user}, {port}, {index}, {attr.NAME}; --no-placeholders replaces none"
	for _, c := range []struct {
		text         string
		offset       int
		reason, hint string
	}{
		{"", 0, "it is empty", "say what to run, such as uptime"},
		{" \t\n", 0, "it is empty", "say what to run, such as uptime"},
		{"a\x00b", 1, "NUL byte", "a command is text; send bytes through standard input"},
		{"echo '{hsot|sh}'", 6, "there is no placeholder {hsot}", known},
		{"{host|csh}", 0, `there is no filter "csh"`, "the only filter is sh, as in {host|sh}, which quotes for a POSIX shell"},
		{"{host|sh|sh}", 0, `there is no filter "sh|sh"`, "the only filter is sh, as in {host|sh}, which quotes for a POSIX shell"},
		{"{" + strings.Repeat("x", 100) + "|sh}", 0, "there is no placeholder {" + strings.Repeat("x", 40) + "}", known},
	} {
		template, err := placeholder.Parse(c.text, placeholder.Unquoted)
		var syntax *placeholder.SyntaxError
		if !errors.As(err, &syntax) || template != nil {
			t.Errorf("Parse(%.40q) = %v, %v; want a SyntaxError", c.text, template, err)
			continue
		}
		if syntax.Offset != c.offset || syntax.Reason != c.reason || syntax.Hint() != c.hint {
			t.Errorf("Parse(%.40q):\n got %d, %q, %q\nwant %d, %q, %q",
				c.text, syntax.Offset, syntax.Reason, syntax.Hint(), c.offset, c.reason, c.hint)
		}
	}
	_, err := placeholder.Parse("echo {hsot|sh}", placeholder.Unquoted)
	if want := "command: position 6: there is no placeholder {hsot}"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestWhoseUserAndPort(t *testing.T) {
	const text = "{user}:{port}"
	for _, c := range []struct {
		target fleet.Target
		want   string
	}{
		{fleet.Target{}, ":22"},
		{fleet.Target{Host: fleet.Host{User: "a", Port: 1}}, "a:1"},
		{fleet.Target{User: "b", Port: 2}, "b:2"},
		{fleet.Target{Host: fleet.Host{User: "a", Port: 1}, User: "b", Port: 2}, "b:2"},
	} {
		if got := expand(t, text, c.target); got != c.want {
			t.Errorf("%+v gives %q, want %q", c.target, got, c.want)
		}
	}
}

func TestFixed(t *testing.T) {
	for text, want := range map[string]bool{
		"uptime": true, "{{host}}": true, "'{host}'": true, "{host}": false, "a{index}b": false,
	} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Fatal(err)
		}
		if template.Fixed() != want {
			t.Errorf("%q: Fixed is %v", text, !want)
		}
	}
}

// TestShellsReadBack passes quoted values to every shell that may be a login shell, next
// to each other, so that a quote that ends early is visible (I03).
// faults.md: I03
func TestShellsReadBack(t *testing.T) {
	template, err := placeholder.Parse("printf '%s|' {host|sh} {user|sh} {attr.a} {attr.b}", placeholder.Unquoted)
	if err != nil {
		t.Fatal(err)
	}
	values := []string{
		"", "plain", "two words", " ", "'", "''", `'\''`, `"`, `\`, `\\`, `\\'`, `a\\b`, `\n`, "$(id)", "`id`", "$HOME", "${x}", "~", "*", "?", "[a]",
		"a;b", "a|b", "a&b", "a>b", "#x", "!x", "!", "!!", "!$", "a!", `\!`, `!\`, "-n", "%s", "{host}", "{{", "\t", "\r", "\x1b[31m",
		"\xff\xfe", "é\u202e", "'; exit 3; '", "; touch RAN #", "\x01\x7f", "^a^b", "=ls",
	}
	for _, shell := range [][]string{
		{"sh"}, {"bash"}, {"dash"}, {"zsh"}, {"ksh93"}, {"mksh"}, {"busybox", "sh"}, {"csh"}, {"tcsh"}, {"fish"},
	} {
		t.Run(shell[0], func(t *testing.T) {
			t.Parallel()
			for i, value := range values {
				// As in an injection: one value opens a quote that the next one closes.
				a := attrs{"a": `\`, "b": "; exit 3 #" + value}
				script := template.Expand(fleet.Target{Host: fleet.Host{Name: value}, User: values[(i+1)%len(values)], Attrs: a})
				cmd := exec.CommandContext(t.Context(), needs.Program(t, shell[0]), append(shell[1:len(shell):len(shell)], "-c", script)...)
				cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
				got, err := cmd.Output()
				want := value + "|" + values[(i+1)%len(values)] + `|\|; exit 3 #` + value + "|"
				if err != nil || string(got) != want {
					t.Errorf("%s -c %q prints %q, %v; want %q", shell[0], script, got, err, want)
				}
			}
		})
	}
}

// Within quotes, a value that some shell could read as code is refused: single quotes within
// double ones protect nothing, and there may be a shell within the shell.
func TestAttributesWithinQuotes(t *testing.T) {
	for _, text := range []string{`echo "{attr.a|sh}"`, "ssh x 'echo {attr.a|sh}'"} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Fatal(err)
		}
		for value, want := range map[string]bool{"db-1.example.org:22": true, "": true, "$(id)": false, "`id`": false, "a b": false, "a'b": false, `a"b`: false, "a;b": false, "é": false, "*": false} {
			target := fleet.Target{Attrs: attrs{"a": value}}
			if err := template.Check(target); (err == nil) != want {
				t.Errorf("%s with %q: %v", text, value, err)
			}
			if got := template.Expand(target); want && got != strings.Replace(text, "{attr.a|sh}", value, 1) {
				t.Errorf("%s with %q gives %q", text, value, got)
			}
		}
	}
}

// After a comment, a here document or $'…' nobody knows what is quoted.
func TestAttributesAfterComments(t *testing.T) {
	for _, text := range []string{
		"# don't worry\necho '{attr.a|sh}'", "cat <<X\ndon't\nX\necho '{attr.a|sh}'", `echo $'it\'s' '{attr.a|sh}'`, "echo a # '\necho {attr.a|sh}",
	} {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			t.Fatal(err)
		}
		if err := template.Check(fleet.Target{Attrs: attrs{"a": "$(id)"}}); err == nil {
			t.Errorf("%s takes code", text)
		}
		if err := template.Check(fleet.Target{Attrs: attrs{"a": "plain"}}); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	template, err := placeholder.Parse("echo ${#x} a#b $# {attr.a}", placeholder.Unquoted)
	if err != nil || template.Check(fleet.Target{Attrs: attrs{"a": "$(id)"}}) != nil {
		t.Errorf("a # that begins no comment: %v", err)
	}
}

// A newline ends the quotes in csh, so the rest would be a command.
// faults.md: I03
func TestUnquotable(t *testing.T) {
	template, err := placeholder.Parse("echo {host} {user|sh} {attr.a}", placeholder.Unquoted)
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string][2]string{"x": {"", ""}, "a\nb": {"user", "attr.a"}, "a\x00": {"user", "attr.a"}, "a\r": {"", ""}} {
		user := fleet.Target{Host: fleet.Host{Name: "n\n"}, User: value, Attrs: attrs{"a": ""}}
		attr := fleet.Target{Attrs: attrs{"a": value}}
		if got := [2]string{template.Unquotable(user), template.Unquotable(attr)}; got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// A command in quotes, whatever it is, is never changed; and without braces none is.
func TestQuotedTextStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z{}$%@ ."\\]*`).Draw(t, "text")
		command := "echo '" + text + "' {host}"
		template, err := placeholder.Parse(command, placeholder.Unquoted)
		if err != nil {
			t.Fatalf("%q: %v", command, err)
		}
		if got := template.Expand(node1()); got != "echo '"+text+"' node1" {
			t.Fatalf("%q gives %q", command, got)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"uptime", "{host}", "{host|sh}", "{{host}}", "{{{host}}}", "${x} {user}", `{"a":{"h":"{host}"}}`,
		"{{.Names}}", "{{range .}}{{end}}", "{hsot}", "{{host}", "}}{{", "${{host}}", "{host|", "\x00", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := placeholder.Parse(text, placeholder.Unquoted)
		if err != nil {
			var syntax *placeholder.SyntaxError
			if !errors.As(err, &syntax) || syntax.Offset > len(text) || syntax.Hint() == "" {
				t.Fatalf("Parse(%q): %#v", text, err)
			}
			return
		}
		got := template.Expand(node1())
		if !strings.ContainsAny(text, "{}") && got != text {
			t.Fatalf("%q gives %q", text, got)
		}
		if template.Fixed() && got != template.Expand(fleet.Target{}) {
			t.Fatalf("%q is not fixed", text)
		}
	})
}

// attrs are a host's attributes.
type attrs map[string]string

func (a attrs) Attr(name string) (string, bool) {
	v, ok := a[name]
	return v, ok
}

func TestAttributesAreQuotedAndNeeded(t *testing.T) {
	tmpl, err := placeholder.Parse("echo {attr.env} {attr.rack|sh} {host}", placeholder.Unquoted)
	if err != nil {
		t.Fatal(err)
	}
	has := fleet.Target{Host: fleet.Host{Name: "n"}, Attrs: attrs{"env": "a'b $(id)", "rack": ""}}
	if got, want := tmpl.Expand(has), `echo 'a'\''b $(id)' '' n`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for want, target := range map[string]fleet.Target{
		"":     has,
		"rack": {Attrs: attrs{"env": "x"}},
		"env":  {},
	} {
		if got := tmpl.Missing(target); got != want {
			t.Errorf("missing %q, want %q", got, want)
		}
	}
}
