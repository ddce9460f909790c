// Package limit chooses hosts by Ansible's host patterns (inventory/manager.py):
//
//	web            the hosts of a group, or a host
//	web:db  web,db the hosts of both
//	web:&eu        those that are in the other as well
//	web:!db        those that are not in the other
//	*.example.com  ? [abc] [!abc] too; of groups and hosts
//	~web\d+        a regular expression (RE2's), found at the beginning
//	web[0] web[-1] web[0:2] web[1:]   some of what matches, both ends included
//	all ungrouped  groups like others
//
// What is behind ! leaves hosts out in any case, as host names have none, and however an address is
// written; all else is exact.
//
// Fill a [Universe] and call [Universe.Select].
package limit

import (
	"regexp"
	"strconv"
	"strings"

	"shoal/hosts/internal/problem"
)

// Select returns the hosts that patterns stand for, each once. & and ! count after
// everything else; without anything else they count on all. A pattern that matches
// nothing is an error. Errors have a method Hint() string.
func (u *Universe) Select(patterns ...string) ([]string, error) {
	chosen, _, err := u.Split(patterns...)
	return chosen, err
}

// Split is Select, and returns the hosts that patterns behind ! leave out too.
func (u *Universe) Split(patterns ...string) (chosen, left []string, err error) {
	var include, keep, drop []string
	for _, text := range patterns {
		parts, err := split(text)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range parts {
			switch p[0] {
			case '&':
				keep = append(keep, p[1:])
			case '!':
				drop = append(drop, p[1:])
			default:
				include = append(include, p)
			}
		}
	}
	if len(include) == 0 {
		if len(keep)+len(drop) == 0 {
			return nil, nil, problem.Faultf("name a group or a host, or all", "no host pattern")
		}
		include = []string{All}
	}
	var all set
	for _, p := range include {
		found, err := u.matched(p, false)
		if err != nil {
			return nil, nil, err
		}
		all.add(found...)
	}
	for i, p := range append(keep, drop...) {
		found, err := u.matched(p, i >= len(keep))
		if err != nil {
			return nil, nil, err
		}
		var other set
		other.add(found...)
		if all.filter(&other, i < len(keep)); i >= len(keep) {
			left = append(left, found...)
		}
	}
	return all.names, left, nil
}

var patternPart = regexp.MustCompile(`(?:[^\s:\[\]]|\[[^\]]*\])+`)

// split cuts at commas or, where there are none, at blanks and at colons that belong
// neither to an address nor to a range (split_host_pattern). A bracket without its
// other half, which Ansible drops so that [* means all hosts, is an error.
func split(text string) ([]string, error) {
	var parts []string
	switch {
	case strings.ContainsRune(text, ','):
		parts = strings.Split(text, ",")
	case isSingle(text):
		parts = []string{text}
	default:
		parts = patternPart.FindAllString(text, -1)
		if strings.ContainsAny(patternPart.ReplaceAllString(text, ""), "[]") {
			return nil, problem.Faultf("write [ and ] in pairs", "pattern %q: bracket is not closed", problem.Bounded(text))
		}
	}
	var kept []string
	for _, p := range parts {
		if p = strings.TrimSpace(p); p != "" {
			kept = append(kept, p)
		}
	}
	return kept, nil
}

var subscript = regexp.MustCompile(`^(.+)\[(?:(-?[0-9]+)|([0-9]+)[:-]([0-9]*))\]$`)

// matched returns the hosts of one pattern without modifier; if they are to be left out,
// names of hosts match in any case, and addresses however they are written.
func (u *Universe) matched(pattern string, anyCase bool) ([]string, error) {
	if pattern == "" {
		return nil, problem.Faultf("write a group or a host behind & and !", "empty host pattern")
	}
	if u.hosts.has(pattern) {
		return []string{pattern}, nil
	}
	expr, m := pattern, []string(nil)
	if pattern[0] != '~' {
		if m = subscript.FindStringSubmatch(pattern); m != nil {
			expr = m[1]
		}
	}
	hosts, known, err := u.matches(expr, anyCase)
	if err != nil {
		return nil, err
	}
	if len(hosts) == 0 && !known && expr != All {
		return nil, problem.Faultf("shoal hosts -i PATH lists the hosts and groups of an inventory", "pattern %q matches no host and no group", problem.Bounded(pattern))
	}
	if m == nil {
		return hosts, nil
	}
	return cut(pattern, hosts, m)
}

// cut applies a subscript, both of whose ends are in it.
func cut(pattern string, hosts, m []string) ([]string, error) {
	if m[2] != "" {
		at, err := strconv.Atoi(m[2])
		if at < 0 {
			at += len(hosts)
		}
		if err != nil || at < 0 || at >= len(hosts) {
			return nil, problem.Faultf("the first is [0]", "pattern %q: there are %d hosts", problem.Bounded(pattern), len(hosts))
		}
		return hosts[at : at+1], nil
	}
	from, err := strconv.Atoi(m[3])
	to := len(hosts) - 1
	if err == nil && m[4] != "" {
		to, err = strconv.Atoi(m[4])
	}
	if err != nil {
		return nil, problem.Faultf("the first is [0]", "pattern %q: a number too large", problem.Bounded(pattern))
	}
	to = min(to, len(hosts)-1)
	if from > to {
		return nil, problem.Faultf("the first is [0]", "pattern %q: none of %d hosts", problem.Bounded(pattern), len(hosts))
	}
	return hosts[from : to+1], nil
}

// matches returns the hosts of groups that match and, for a pattern that may mean
// hosts as well, those; known says whether a group matched (_enumerate_matches).
func (u *Universe) matches(expr string, anyCase bool) (hosts []string, known bool, err error) {
	if expr[0] != '~' && !strings.ContainsAny(expr, "?*[") {
		// A plain word: no need to try all of them.
		if g := u.group(expr); g != nil {
			return g.names, true, nil
		}
		if !anyCase {
			return nil, false, nil
		}
		folded := Fold(expr)
		for _, name := range u.hosts.names {
			if Fold(name) == folded {
				hosts = append(hosts, name)
			}
		}
		return hosts, false, nil
	}
	match, err := matcher(expr)
	if err != nil {
		return nil, false, err
	}
	ofHosts := match
	if anyCase {
		if ofHosts, err = regexp.Compile("(?i)" + match.String()); err != nil {
			return nil, false, err
		}
	}
	var found set
	for _, name := range u.order {
		if match.MatchString(name) {
			known = true
			found.add(u.group(name).names...)
		}
	}
	for _, name := range u.hosts.names {
		if ofHosts.MatchString(name) {
			found.add(name)
		}
	}
	return found.names, known, nil
}
