package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"shoal/internal/ssh/match"
)

// An AlgorithmList is what a client supports for one kind of algorithm. If Supported is empty,
// both lists are OpenSSH's.
type AlgorithmList struct {
	// Default are the names offered if the configuration sets none, best first. '+', '-' and
	// '^' in the configuration modify this list.
	Default []string
	// Supported are all names that the configuration may enable. Wildcards select from them, in
	// this order; names that OpenSSH knows and this list lacks are omitted.
	Supported []string
}

// Algorithms are what a client supports. The zero value is what OpenSSH supports.
type Algorithms struct {
	Kex, Ciphers, MACs                                      AlgorithmList
	HostKey, PubkeyAccepted, CASignature, HostbasedAccepted AlgorithmList
}

// A listID selects a list of Algorithms.
type listID uint8

const (
	listKex listID = iota
	listCiphers
	listMACs
	listHostKey
	listPubkeyAccepted
	listCASignature
	listHostbased
	numLists
)

// get returns a list, or OpenSSH's if it is empty.
func (a *Algorithms) get(id listID) AlgorithmList {
	list := []AlgorithmList{
		a.Kex, a.Ciphers, a.MACs, a.HostKey, a.PubkeyAccepted, a.CASignature, a.HostbasedAccepted,
	}[id]
	if len(list.Supported) == 0 {
		return openSSHList(id)
	}
	return list
}

// wildcards reports whether the list's option may use patterns (readconf.c,
// parse_pubkey_algos).
func (id listID) wildcards() bool { return id >= listHostKey }

var errNoneLeft = errors.New("none of these algorithms is supported")

// readAlgorithms returns a reader for a list of names. Unknown names are an error on every
// line; a list without any supported name is an error only for the hosts that it applies to.
func readAlgorithms(id listID) func(*line) error {
	return func(l *line) error {
		arg, err := l.need()
		if err != nil {
			return err
		}
		if len(arg) > maxExpanded {
			return fmt.Errorf("longer than %d bytes", maxExpanded)
		}
		list := l.loader.algorithms.get(id)
		if err := checkAlgorithms(arg, id, list); err != nil {
			return err
		}
		names := list.assemble(arg)
		s := l.set(l.op, strings.Join(names, ","))
		s.written = arg
		s.num = int64(strings.Count("+-", arg[:1])) // 1 if it only adds or removes
		if s.list = names; len(names) == 0 {
			s.value = fmt.Errorf("%w: %.200q", errNoneLeft, arg)
		}
		return nil
	}
}

// checkAlgorithms refuses names that neither OpenSSH nor the client knows. Names that '-'
// removes are not checked, as in OpenSSH.
func checkAlgorithms(arg string, id listID, list AlgorithmList) error {
	if arg[0] == '-' {
		return nil
	}
	names := strings.TrimLeft(arg[:1], "+^") + arg[1:]
	known := openSSHList(id).Supported
	for name := range strings.SplitSeq(names, ",") {
		fits := func(s string) bool { return s == name || id.wildcards() && match.Pattern(s, name) }
		if !slices.ContainsFunc(known, fits) && !slices.ContainsFunc(list.Supported, fits) {
			return fmt.Errorf("unknown algorithm %.80q", name)
		}
	}
	return nil
}

// assemble returns the list that a configured one denotes (kex.c, kex_assemble_names): '+'
// appends to the default, '^' prepends, '-' removes what matches; otherwise it replaces the
// default.
func (a AlgorithmList) assemble(configured string) []string {
	rest := strings.Split(configured[1:], ",")
	switch configured[0] {
	case '-':
		return slices.DeleteFunc(slices.Clone(a.Default), func(s string) bool { return matchList(s, configured[1:]) })
	case '+':
		return a.choose(append(slices.Clone(a.Default), rest...))
	case '^':
		return a.choose(append(rest, a.Default...))
	}
	return a.choose(strings.Split(configured, ","))
}

// choose returns the supported names that match the patterns, each once.
func (a AlgorithmList) choose(patterns []string) []string {
	var names []string
	taken := make(map[string]bool)
	for _, p := range patterns {
		for _, s := range a.Supported {
			if !taken[s] && match.Pattern(s, p) {
				taken[s] = true
				names = append(names, s)
			}
		}
	}
	return names
}
