package hosts

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"shoal/hosts/ansible"
	"shoal/hosts/internal/ordered"
	"shoal/hosts/internal/problem"
	"shoal/internal/ssh/config"
)

// argsVars are the variables whose value Ansible puts on ssh's command line, in that order, so
// that the first one has precedence (plugins/connection/ssh.py).
var argsVars = [3]string{"ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"}

// withValue are the options of ssh that take a value, as keywords of ssh_config.
var withValue = map[byte]string{
	'B': "BindInterface", 'b': "BindAddress", 'c': "Ciphers", 'e': "EscapeChar", 'I': "PKCS11Provider", 'i': "IdentityFile",
	'J': "ProxyJump", 'l': "User", 'm': "MACs", 'p': "Port", 'S': "ControlPath",
}

// alone are the options of ssh that take none and concern a command's connection.
var alone = map[byte]string{
	'4': "AddressFamily=inet", '6': "AddressFamily=inet6", 'A': "ForwardAgent=yes", 'a': "ForwardAgent=no", 'C': "Compression=yes",
	'K': "GSSAPIAuthentication=yes", 'k': "GSSAPIDelegateCredentials=no", 'M': "ControlMaster=yes", 'n': "StdinNull=yes",
	'q': "LogLevel=QUIET", 'T': "RequestTTY=no", 't': "RequestTTY=yes", 'v': "LogLevel=DEBUG", 'X': "ForwardX11=yes",
	'x': "ForwardX11=no", 'Y': "ForwardX11Trusted=yes",
}

// sshOptions returns the options of ssh in an argument line as Key=Value, as ssh -o takes them.
func sshOptions(line string) ([]string, error) {
	words, err := ansible.Words(line)
	if err != nil || len(words) == 0 {
		return nil, err
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("looking for the working directory: %w", err)
	}
	var options []string
	for len(words) > 0 {
		word := words[0]
		words = words[1:]
		if len(word) < 2 || word[0] != '-' || word == "--" {
			return nil, problem.Faultf("write options of ssh only", "%q is no option of ssh", problem.Bounded(word))
		}
		for letters := word[1:]; letters != ""; {
			letter := letters[0]
			letters = letters[1:]
			if option, ok := alone[letter]; ok {
				options = append(options, option)
				continue
			}
			keyword, ok := withValue[letter]
			if !ok && letter != 'o' {
				return nil, problem.Faultf("write what it stands for as -o KEYWORD=VALUE, or leave it out", "ssh's option -%c is not taken", letter)
			}
			value := letters
			letters = ""
			if value == "" {
				if len(words) == 0 {
					return nil, problem.Faultf("write its value", "ssh's option -%c has no value", letter)
				}
				value, words = words[0], words[1:]
			}
			if letter != 'o' {
				value = keyword + "=" + value
			}
			// A run that is resumed from another directory must not find other files there.
			options = append(options, config.AbsoluteFiles(value, here))
		}
	}
	return options, nil
}

// args returns the ssh options of a host's variables. Hosts share them.
func (a *ansibles) args(told map[string]ansible.Value) ([]string, error) {
	var lines [3]string
	for i, name := range argsVars {
		var err error
		if lines[i], err = pickVar(told, name); err != nil {
			return nil, err
		}
	}
	if options, known := a.options[lines]; known {
		return options, nil
	}
	var all []string
	for i, name := range argsVars {
		options, err := sshOptions(lines[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, options...)
	}
	a.options[lines] = all
	return all, nil
}

// maxNested bounds how deep variables stand in each other, maxReplaced how many are replaced
// for one value, and maxExpanded the text that it becomes, in bytes.
const (
	maxNested   = 16
	maxReplaced = 10_000
	maxExpanded = 64 << 10
)

// variable is the only template that is evaluated.
var variable = regexp.MustCompile(`\{\{-?\s*([A-Za-z_][A-Za-z0-9_]*)\s*-?\}\}`)

// expand replaces {{ name }} by the variable of that name.
func expand(told map[string]ansible.Value, text string) (string, error) {
	e := expansion{told, maxReplaced}
	return e.expand(text, 0)
}

// An expansion is that of one value.
type expansion struct {
	told map[string]ansible.Value
	left int // how many variables may still be replaced
}

func (e *expansion) expand(text string, nested int) (string, error) {
	var b strings.Builder
	literal := func(part string) bool {
		b.WriteString(part)
		return !strings.Contains(part, "{{") && !strings.Contains(part, "{%") && !strings.Contains(part, "{#")
	}
	end := 0
	for _, m := range variable.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[2]:m[3]]
		v, there := e.told[name]
		switch {
		case !literal(text[end:m[0]]):
			return "", notEvaluated(text)
		case !there || v.Kind == ordered.Null:
			return "", problem.Faultf("set it, or write the value", "the template %q names %s, which is not set for this host", problem.Bounded(text), name)
		case isPassword(name):
			return "", problem.Faultf("write it in plain text where ssh reads it", "the template %q names %s, a secret", problem.Bounded(text), name)
		case v.Kind == ordered.Secret || v.Kind == ordered.List || v.Kind == ordered.Map:
			return "", problem.Faultf("write its value", "the template %q names %s, which is %v", problem.Bounded(text), name, v.Kind)
		case nested == maxNested || e.left == 0 || b.Len() > maxExpanded:
			return "", problem.Faultf("look for a variable that names itself", "the template %q never ends", problem.Bounded(text))
		}
		e.left--
		value, err := e.expand(v.Text, nested+1)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		end = m[1]
	}
	if !literal(text[end:]) {
		return "", notEvaluated(text)
	}
	return b.String(), nil
}

func notEvaluated(text string) error {
	return &fault{
		fmt.Sprintf("the template %q has more than {{ name }}, which is all that is evaluated", problem.Bounded(text)),
		"write its value, or have a program print the inventory",
	}
}
